const extjs = "only the json format is simulated; nothing of ours asks for another";
const qmp =
  "the recorded host's QEMU was asked without an answer; hosts at work answer these fields";
const upload =
  "the recording has a placeholder for the multipart body: there is no upload to send again";

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
  475: "the web interface's page is not simulated",
};
