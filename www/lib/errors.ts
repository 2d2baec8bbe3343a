// Every failure that leaves this package is a KingletError: a stable code to branch on, and a message that says what to do next.
// The first group of codes comes from the core (each module's `code()` in src/); tests/unit/errors.test.ts compares the two lists.

/** Codes given by the core. */
export const CORE_CODES = [
  "read-failed",
  "invalid-file",
  "unsupported-format",
  "unsupported-model",
  "invalid-model",
  "bad-tokenizer",
  "unsupported-tokenizer",
  "no-tokenizer",
  "bad-template",
  "no-template",
  "template-limit",
  "no-device",
  "out-of-memory",
  "device-lost",
  "kernel-refused",
  "self-test-failed",
  "bad-request",
  "bad-sampling",
  "prompt-too-long",
  "bad-brief",
  "bad-tone",
  "bad-network",
  "bad-length",
  "bad-count",
  "bad-hashtags",
  "bad-emoji",
  "context-too-short",
  "no-words",
] as const;

/** Codes given by the package around it. */
export const HOST_CODES = [
  "aborted",
  "crashed",
  "disposed",
  "download-failed",
  "invalid-option",
  "unsupported",
  "wasm-failed",
  "worker-failed",
] as const;

/** The stable code of a {@link KingletError}. */
export type ErrorCode = (typeof CORE_CODES)[number] | (typeof HOST_CODES)[number];

/** A failure with a stable {@link ErrorCode} and a message that says what to do next. */
export class KingletError extends Error {
  override readonly name = "KingletError";
  /** What went wrong, to branch on. */
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** What crosses the worker boundary in place of an error. */
export interface Failure {
  code: ErrorCode;
  message: string;
}

const CODES: ReadonlySet<string> = new Set([...CORE_CODES, ...HOST_CODES]);

function isCode(code: unknown): code is ErrorCode {
  return typeof code === "string" && CODES.has(code);
}

/** Whatever was thrown, as code and message. A trap in the wasm has no code of ours: that is a crash. */
export function toFailure(thrown: unknown): Failure {
  const fields = Object(thrown) as { code?: unknown; message?: unknown };
  const message = typeof fields.message === "string" && fields.message !== "" ? fields.message : String(thrown);
  return { code: isCode(fields.code) ? fields.code : "crashed", message };
}

/** A failure that came over the worker boundary, as the error to throw. */
export function fromFailure(failure: Failure): KingletError {
  return new KingletError(failure.code, failure.message);
}

/** The error of an aborted signal; its reason is kept as the cause. */
export function abortedBy(signal: AbortSignal): KingletError {
  return new KingletError("aborted", "stopped by the caller's signal; call again to start over", { cause: signal.reason });
}
