// A failure on screen: what happened, why, what to do, and what to tell whoever runs the service.

import { make } from "./dom.js";

/** `retry` is its button's, which waits for the time `until`; `ticked` is told each second how many are left. */
export function panel({ what, why, action, code, correlationId }, retry, until = 0, ticked) {
	const lines = Object.entries({ what, why, action }).map(([className, text]) => make("p", { className }, text ?? ""));
	const facts = Object.entries({ Code: code, "Correlation id": correlationId ?? "none" });
	const list = facts.flatMap(([term, text]) => [make("dt", {}, term), make("dd", {}, text)]);
	const clock = make("p", { role: "timer" });
	const button = make("button", { textContent: "Retry", className: "retry", onclick: retry });
	const tick = () => {
		const left = secondsUntil(until);
		button.disabled = left > 0;
		clock.textContent = left ? `You can send again in ${clockOf(left)}.` : "";
		if (left) setTimeout(tick, 1000);
		if (until) ticked(left);
	};
	tick();
	const properties = { className: "failure", role: "group", ariaLabel: "What went wrong" };
	return make("div", properties, ...lines, make("dl", {}, ...list), clock, button);
}

export const secondsUntil = (time) => Math.max(0, Math.ceil((time - Date.now()) / 1000));

/** 65 as 1:05. */
export const clockOf = (seconds) => `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
