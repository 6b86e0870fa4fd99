/** Equal to package.json (held by a test): dist/ lies one folder deeper, so the file itself cannot be imported. */
export const version = "0.1.0";
