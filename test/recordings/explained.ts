const extjs = "only the json format is simulated; nothing of ours asks for another";
const qmp =
  "the recorded host's QEMU was asked without an answer; hosts at work answer these fields";
const vzdump = "stands on a backup that was made before, and vzdump is not simulated";
const restore = "restores are not simulated, and POST knows none of their parameters";
const upload = "uploads are not simulated: the wire of tests carries no multipart bodies";

/** What still differs from the recorded host, and why that is harmless or what remains to be done; keys: `n` of the recording. */
export const explained: Readonly<Record<number, string>> = {
  51: extjs,
  52: extjs,
  74: "the recorded host had no /etc/timezone; installed ones do",
  77: "the recorded host had no figures yet; hosts at work have them",
  141: qmp,
  145: "the guest inside names no version of its system, which is its own affair",
  160: qmp,
  290: upload,
  291: upload,
  420: vzdump,
  427: restore,
  428: restore,
  430: restore,
  475: "the web interface's page is not simulated",
  509: vzdump,
  512: vzdump,
  516: restore,
  517: restore,
  519: restore,
  520: restore,
  521: restore,
  523: restore,
  524: restore,
  525: restore,
};
