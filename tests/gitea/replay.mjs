// Sends to a proxy or mock what a double recorded (gitea.mjs --record), each request once, and says how many. Whether
// they keep the contract is for that to say. Those that the double called wrong in themselves, as a test wanted, are left out.
import { readFileSync } from 'node:fs';

const [file, base] = process.argv.slice(2);
const all = readFileSync(file, 'utf8').split('\n').filter(Boolean).map(JSON.parse).filter(r => ![400, 422].includes(r.status));
const sent = new Set();
for (const { method, path, body } of all) {
	const key = `${method} ${path} ${body}`;
	if (sent.has(key))
		continue;
	sent.add(key);
	await fetch(base + path, { method, body: body || undefined, headers: { Authorization: 'Bearer t', ...(body && { 'Content-Type': 'application/json' }) } });
}
console.log(sent.size);
