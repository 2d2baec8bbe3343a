// Running other programs, and the few facts about this machine that the scripts share.

import { spawn, spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

/** The repository. */
export const ROOT = fileURLToPath(new URL("..", import.meta.url));

/** A failure that is one line for the reader: what is missing, and what to do. */
export class Stop extends Error {}

const SHELL = process.platform === "win32"; // npm is a .cmd file there.

/** What a program prints, or nothing if it is missing or fails. */
export function output(program, args, options = {}) {
  const { status, stdout, error } = spawnSync(program, args, { cwd: ROOT, encoding: "utf8", shell: SHELL && program === "npm", ...options });
  return error || status !== 0 ? undefined : stdout.trim();
}

/** Runs a program with its output shown; stops if it fails. */
export async function run(program, args, options = {}) {
  const { code } = await stream(program, args, options);
  if (code !== 0) throw new Stop(`failed (exit code ${code}): ${program} ${args.join(" ")}`);
}

/** Runs a program, shows its output line by line, and hands each line on. */
export function stream(program, args, { onLine = () => {}, ...options } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"], shell: SHELL && program === "npm", ...options });
    for (const [from, to] of [[child.stdout, process.stdout], [child.stderr, process.stderr]]) {
      let rest = "";
      from.setEncoding("utf8").on("data", (text) => {
        to.write(text);
        const lines = (rest + text).split(/\r?\n/);
        rest = lines.pop() ?? "";
        lines.forEach(onLine);
      });
      from.on("end", () => rest && onLine(rest));
    }
    child.on("error", (error) => reject(new Stop(`${program} could not be started: ${error.message}`)));
    child.on("close", (code) => resolve({ code: code ?? 1 }));
  });
}

/** Says what is being done. */
export function say(what) {
  console.log(`· ${what}`);
}
