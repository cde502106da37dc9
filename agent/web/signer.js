// signer.js - the sovereign's signer on this machine (`uni-wizard dashboard --approve`), and what it is asked to sign.

import { tell } from './cluster.js';

const KEY = 'uni-wizard-signer', LINK = /^(\d{1,5}):([0-9a-f]{64})$/, LOOK_MS = 2000, LOOK_LIMIT_MS = 8000, SIGN_LIMIT_MS = 60000;

export const START = 'uni-wizard dashboard --approve';
// none, there, gone; while it is there also sovereign, cluster, key, until
export const signer = { state: 'none', why: '' };

let looking = 0;

// "port:token", as the link has it; always on this machine.
function link() {
	return LINK.exec(sessionStorage.getItem(KEY) || '');
}

function become(state, more = {}) {
	const before = JSON.stringify(signer);
	Object.assign(signer, { why: '' }, more, { state });
	if (JSON.stringify(signer) !== before) tell('signer');
}

async function ask(path, body, limit) {
	const [, port, token] = link();
	const r = await fetch(`http://127.0.0.1:${port}${path}`, {
		method: body ? 'POST' : 'GET',
		headers: { Authorization: 'Bearer ' + token, ...(body && { 'Content-Type': 'application/json' }) },
		body: body && JSON.stringify(body),
		credentials: 'omit',
		signal: AbortSignal.timeout(limit),
	});
	const said = await r.json();
	if (!r.ok) throw Object.assign(new Error(said.error.message), { status: r.status });
	return said;
}

function gone(e) {
	become('gone', { why: e.status ? e.message : `nobody answers at 127.0.0.1:${link()[1]}` });
}

async function look() {
	clearTimeout(looking);
	if (!link()) {
		become('none');
		return;
	}
	try {
		become('there', await ask('/v1/signer', null, LOOK_LIMIT_MS));
	} catch (e) {
		if (link()) gone(e);
	}
	clearTimeout(looking);
	if (link()) looking = setTimeout(look, LOOK_MS);
}

export function useSigner(text) {
	if (text && LINK.test(text)) sessionStorage.setItem(KEY, text);
	look();
}

export function forgetSigner() {
	sessionStorage.removeItem(KEY);
	look();
}

// The hash of what is shown, by RFC 8785 as the signer computes it anew from what the broker has.
function canonical(v) {
	if (Array.isArray(v)) return `[${v.map(canonical).join(',')}]`;
	if (v && typeof v === 'object') return `{${Object.keys(v).sort().map((k) => JSON.stringify(k) + ':' + canonical(v[k])).join(',')}}`;
	return JSON.stringify(v);
}

export async function hashOf(subject) {
	const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(canonical(subject)));
	return [...new Uint8Array(digest)].map((b) => b.toString(16).padStart(2, '0')).join('');
}

// Resolves when it is signed and published: {taken}. An error says why it is not.
export async function decide(subject, decision, reason) {
	try {
		return await ask('/v1/decisions', { task: subject.task, hash: await hashOf(subject), decision, reason }, SIGN_LIMIT_MS);
	} catch (e) {
		if (e.status) throw e;
		gone(e);
		throw new Error(e.name === 'TimeoutError' ? 'The signer did not answer in time. Look at its terminal.' :
			`The signer is gone: nobody answers at 127.0.0.1:${link()?.[1]}. Nothing was signed.`);
	}
}
