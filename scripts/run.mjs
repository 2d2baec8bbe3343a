// The one door to the set-up, the build, the page and the tests: `node scripts/run.mjs start|test|build`. It needs nothing installed but Node,
// because `npm start` and `npm test` must work on a clean clone.

import { Stop } from "./shell.mjs";

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`Node ${process.versions.node} is too old: install Node.js 20.19 or newer (https://nodejs.org)`);
  process.exit(1);
}

const COMMANDS = {
  start: async () => {
    await (await import("./setup.mjs")).setUp();
    await (await import("./build.mjs")).build();
    await (await import("./serve.mjs")).start();
  },
  build: async () => {
    await (await import("./setup.mjs")).setUp();
    await (await import("./build.mjs")).build();
    console.log("built dist/ (the package) and dist-page/ (the page)");
  },
  test: async () => {
    await (await import("./setup.mjs")).setUp();
    process.exitCode = (await (await import("./test.mjs")).test(process.argv.slice(3))) ? 0 : 1;
  },
};

const command = COMMANDS[process.argv[2] ?? ""];
if (!command) {
  console.error(`usage: node scripts/run.mjs ${Object.keys(COMMANDS).join("|")}`);
  process.exit(2);
}
try {
  await command();
} catch (error) {
  if (!(error instanceof Stop)) throw error;
  console.error(error.message);
  process.exit(1);
}
