// api.js - the agent's HTTP interface, with the token that was typed.

const KEY = 'uni-wizard-token';
const ASK_MS = 12000, QUIET_MS = 12000;

export class Refused extends Error {
	constructor(status, message) {
		super(message);
		this.status = status;
	}
}

export const token = {
	get: () => sessionStorage.getItem(KEY),
	set: (t) => sessionStorage.setItem(KEY, t),
	clear: () => sessionStorage.removeItem(KEY),
};

function headers() {
	return { Authorization: 'Bearer ' + token.get() };
}

async function refusal(r) {
	let message = `the agent answered ${r.status}`;
	try {
		message = (await r.json()).error.message;
	} catch { /* it said no more than that */ }
	return new Refused(r.status, message);
}

export async function ask(path, body) {
	const r = await fetch(path, {
		method: body === undefined ? 'GET' : 'POST',
		headers: headers(),
		body: body ? JSON.stringify(body) : undefined,
		signal: AbortSignal.timeout(ASK_MS),
	});
	if (!r.ok) throw await refusal(r);
	return r.json();
}

// Why it does not take tasks; '' if it does.
export async function why() {
	try {
		const r = await fetch('/ready', { signal: AbortSignal.timeout(4000) });
		return (await r.json()).why || '';
	} catch {
		return 'it does not answer';
	}
}

// Calls each(type, data) until the stream ends, which it does by an error. begun() when it is there. A comment comes every 5 s.
export async function events(begun, each, stop) {
	const over = new AbortController();
	const end = () => over.abort();
	let timer = setTimeout(end, QUIET_MS);
	stop.addEventListener('abort', end);
	try {
		const r = await fetch('/v1/events', { headers: headers(), signal: over.signal });
		if (!r.ok) throw await refusal(r);
		const reader = r.body.pipeThrough(new TextDecoderStream()).getReader();
		let rest = '';
		begun();
		for (;;) {
			const { value, done } = await reader.read();
			if (done) throw new Error('the stream ended');
			clearTimeout(timer);
			timer = setTimeout(end, QUIET_MS);
			const parts = (rest + value).split('\n\n');
			rest = parts.pop();
			for (const p of parts) {
				const m = /^event: (.*)\ndata: (.*)$/.exec(p);
				if (m) each(m[1], JSON.parse(m[2]));
			}
		}
	} finally {
		clearTimeout(timer);
		stop.removeEventListener('abort', end);
	}
}
