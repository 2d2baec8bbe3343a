// The form: what is to be written, and the buttons that start and stop it. It works before any model is loaded.

import { approximateLength, LIMITS } from "../count.ts";
import { type Action, type Problem, type Settings, type State, seedDigits } from "../state.ts";
import { element, setRing, setText } from "./element.ts";

/** Binds the form; the returned function shows a state. */
export function briefPanel(dispatch: (action: Action) => void, commands: { compose(): void; cancel(): void }): (state: State) => void {
  const form = element("form", HTMLFormElement);
  const brief = element("brief", HTMLTextAreaElement);
  const error = element("brief-error", HTMLParagraphElement);
  const count = element("brief-count", HTMLParagraphElement);
  const seed = element("seed", HTMLInputElement);
  const compose = element("compose", HTMLButtonElement);
  const cancel = element("cancel", HTMLButtonElement);
  const select = (id: keyof Settings) => element(id, HTMLSelectElement);
  const selects = (["network", "tone", "length", "count", "hashtags", "emoji"] as const).map((name) => [name, select(name)] as const);

  brief.addEventListener("input", () => dispatch({ type: "set", settings: { brief: brief.value } }));
  seed.addEventListener("input", () => dispatch({ type: "set", settings: { seed: seedDigits(seed.value) } }));
  for (const [name, field] of selects) {
    const value = () => (name === "count" ? Number(field.value) : field.value);
    field.addEventListener("change", () => dispatch({ type: "set", settings: { [name]: value() } }));
  }
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    commands.compose();
  });
  cancel.addEventListener("click", (event) => {
    if (event.detail <= 1) commands.cancel(); // The second half of a double click was meant for Compose, which stood there.
  });
  document.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    const onButton = event.target === compose || event.target === cancel;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      if (!event.repeat) commands.compose();
    } else if (event.repeat && onButton && event.key === "Enter") {
      event.preventDefault(); // A key held down would start and stop in turn.
    } else if (event.key === "Escape" && !cancel.hidden) {
      commands.cancel();
    }
  });
  for (const example of element("examples", HTMLUListElement).querySelectorAll("button")) {
    example.addEventListener("click", () => {
      dispatch({ type: "set", settings: { brief: example.textContent ?? "" } });
      brief.focus();
    });
  }
  if (/Mac|iP(hone|ad)/.test(navigator.userAgent)) setText(element("mod", HTMLElement), "⌘");

  let counted: Settings | undefined;
  let shown: Problem | undefined;
  let wasComposing = false;

  return ({ settings, composing, problem }) => {
    setValue(brief, settings.brief);
    setValue(seed, settings.seed);
    for (const [name, field] of selects) setValue(field, String(settings[name]));

    const wrong = problem?.during === "brief" ? problem.message : "";
    setText(error, wrong);
    error.hidden = wrong === "";
    brief.toggleAttribute("aria-invalid", wrong !== "");
    if (wrong) brief.setAttribute("aria-invalid", "true");
    if (wrong && problem !== shown) brief.focus();
    shown = problem;

    if (settings !== counted) showLength(count, settings);
    counted = settings;

    const focused = document.activeElement;
    compose.hidden = composing;
    cancel.hidden = !composing;
    // What had the focus is about to go, or to be of no use for a while.
    if (composing && !wasComposing && (focused === compose || focused?.closest(".results"))) cancel.focus();
    if (!composing && focused === cancel) compose.focus();
    wasComposing = composing;
  };
}

function showLength(count: Element, { brief, network }: Settings): void {
  const [used, limit] = [approximateLength(brief, network), LIMITS[network]];
  const words = count.querySelector("span");
  // A brief may be as long as it likes; it is only worth saying that it would do as it is.
  if (words) setText(words, brief === "" || used > limit ? "" : `As a post: ${used} of ${limit}`);
  setRing(count, used, limit);
}

function setValue(field: HTMLTextAreaElement | HTMLInputElement | HTMLSelectElement, value: string): void {
  if (field.value !== value) field.value = value;
}
