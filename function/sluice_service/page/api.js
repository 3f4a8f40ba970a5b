// The service's routes, and what goes wrong on the way to them.

const SHORT_MS = 30_000;
const STOP_MS = 3_000;

/** {code, what, why, action, correlationId, status, retryAfterSeconds}, as far as they are known. */
export class Failure extends Error {
	constructor(parts) {
		super(parts.what);
		Object.assign(this, parts);
	}
}

export const unreachable = () =>
	new Failure({
		code: "unreachable",
		what: "The connection to the server was lost.",
		why: "The network does not reach it, or it is not running.",
		action: "Check the connection, then try again.",
	});

/** What an error's body tells, in either of the service's two shapes. */
export function told(body) {
	const simple = typeof body?.error === "string";
	const { code, correlation_id: correlationId, message, reason, action } = (simple ? body : body?.error) ?? {};
	if (simple) return { code, correlationId, what: body.error, why: body.detail };
	return message && { code, correlationId, what: message, why: reason, action };
}

async function request(path, options) {
	let response;
	try {
		response = await fetch(path, options);
	} catch {
		throw unreachable();
	}
	if (response.ok) return response;
	const parts = told(await response.json().catch(() => null));
	throw parts ? new Failure({ ...parts, ...known(response) }) : foreign(response);
}

const known = ({ status, headers }) => ({ status, retryAfterSeconds: Number(headers.get("retry-after")) || 0 });

const foreign = (response) =>
	new Failure({
		code: `http_${response.status}`,
		what: `The server answered with status ${response.status}.`,
		why: "Something between this page and the service answered in its place.",
		action: "Try again in a moment.",
		correlationId: response.headers.get("x-correlation-id"),
		...known(response),
	});

/** What a key can do. Everything throws a Failure. */
export function apiOf(key) {
	async function json(method, path, body, { signal = AbortSignal.timeout(SHORT_MS), ...more } = {}) {
		const headers = { authorization: `Bearer ${key}`, "content-type": "application/json", ...more };
		const response = await request(path, { method, signal, headers, body: body && JSON.stringify(body) });
		if (response.status === 204) return null;
		return response.json().catch((error) => {
			throw error instanceof SyntaxError ? foreign(response) : unreachable();
		});
	}
	const at = (id) => `v1/conversations/${encodeURIComponent(id)}`;
	const page = (path, limit, cursor) =>
		json("GET", `${path}?limit=${limit}${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`);
	return {
		health: () => json("GET", "health"),
		models: () => json("GET", "v1/models"),
		conversations: (cursor) => page("v1/conversations", 30, cursor),
		conversation: (id, limit, cursor) => page(at(id), limit, cursor),
		rename: (id, title) => json("PATCH", at(id), { title }),
		delete: (id) => json("DELETE", at(id)),
		onboarding: (agent) => json("GET", `v1/onboarding/${agent}`),
		startAgain: (agent) => json("DELETE", `v1/onboarding/${agent}`),
		ticket: (body, signal) => json("POST", "v1/tickets", body, { signal }),
		cancel: (stream) => json("POST", `v1/streams/${stream}/cancel`, null, { signal: AbortSignal.timeout(STOP_MS) }),
		/** A whole answer; asked again under the same key, the first one's. */
		ask: (body, key, signal) => json("POST", "chat", body, { signal, "idempotency-key": key }),
		/** The id of the stream at an EventSource's address, which EventSource cannot read; nor can it read a refusal. */
		async streamAt(address) {
			const { headers, body } = await request(address, { signal: AbortSignal.timeout(SHORT_MS) });
			body?.cancel();
			return headers.get("x-stream-id");
		},
	};
}
