const extjs = "only the json format is simulated; nothing of ours asks for another";
const noTool = "no tool of ours asks for it";
const links = "a list of links, which nothing of ours follows";
const inside = "no tool of ours runs commands in guests";
const consoles = "consoles and keys are no tools of ours";
const whole = "guests are started and stopped one by one";
const ofThose = "of a task of startall or stopall";
const qmp =
  "the recorded host's QEMU was asked without an answer; hosts at work answer these fields";
const upload =
  "the recording has a placeholder for the multipart body: there is no upload to send again";

/** Routes of the recorded host that the simulated one does not have, and why: what a tool of ours asks for is there. */
export const unsimulated: Readonly<Record<string, string>> = {
  "GET /": "the web interface's page",
  "GET /access/tfa": noTool,
  "GET /nodes/{node}": links,
  "GET /nodes/{node}/apt/update": noTool,
  "GET /nodes/{node}/apt/versions": noTool,
  "GET /nodes/{node}/disks/list": noTool,
  "GET /nodes/{node}/qemu/{vmid}": links,
  "GET /nodes/{node}/qemu/{vmid}/agent/exec-status": inside,
  "GET /nodes/{node}/qemu/{vmid}/agent/file-read": inside,
  "GET /nodes/{node}/query-url-metadata": "a download is sent without asking the server before",
  "GET /nodes/{node}/storage/{storage}/content/{volume}":
    "what is needed of a volume is in the list",
  "GET /nodes/{node}/tasks/{upid}/log": ofThose,
  "GET /nodes/{node}/tasks/{upid}/status": ofThose,
  "POST /nodes/{node}/qemu/{vmid}/agent/exec": inside,
  "POST /nodes/{node}/qemu/{vmid}/monitor": consoles,
  "POST /nodes/{node}/qemu/{vmid}/termproxy": consoles,
  "POST /nodes/{node}/qemu/{vmid}/vncproxy": consoles,
  "POST /nodes/{node}/startall": whole,
  "POST /nodes/{node}/stopall": whole,
  "POST /nodes/{node}/storage/{storage}/content": "disks are made with the guests that have them",
  "POST /storage": noTool,
  "PUT /nodes/{node}/qemu/{vmid}/sendkey": consoles,
};

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
