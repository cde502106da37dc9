// client.mjs - what mcp.sh does with an official client: KIND=sdk is the one that begins with initialize, KIND=client the one that says
// with each request which version it is of. Prints a line for each thing that holds or does not.

import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';

const { KIND, MODULES, WORK, UW } = process.env, SLOW = +(process.env.SLOW || 1);
const run = promisify(execFile);
const modern = KIND === 'client';
const from = (path) => import(pathToFileURL(`${MODULES}/node_modules/@modelcontextprotocol/${path}`));
const { Client } = await from(modern ? 'client/dist/index.mjs' : 'sdk/dist/esm/client/index.js');
const { StdioClientTransport } = await from(modern ? 'client/dist/stdio.mjs' : 'sdk/dist/esm/client/stdio.js');

async function check(sentence, f) {
	try {
		const why = await f();
		if (why === undefined || why === true) return console.log(`ok - ${sentence}`);
		console.log(`not ok - ${sentence}\n# ${JSON.stringify(why)}`);
	} catch (e) {
		console.log(`not ok - ${sentence}`);
		for (const l of String(e.stack).split('\n').slice(0, 12)) console.log('# ' + l);
	}
}

async function until(f, ms = 10000 * SLOW) {
	const end = Date.now() + ms;
	while (!(await f())) {
		if (Date.now() > end) throw new Error(`not within ${ms} ms: ${f}`);
		await new Promise((r) => setTimeout(r, 50));
	}
}

async function start(...args) {
	const options = modern ? { versionNegotiation: { mode: { pin: '2026-07-28' } } } : undefined;
	const client = new Client({ name: 'test-of-mcp', version: '1.0' }, options);
	client.onerror = (e) => console.log('# client: ' + e);
	await client.connect(new StdioClientTransport({ command: UW, args: ['mcp', ...args], env: process.env, stderr: 'pipe' }));
	return client;
}

// The state of a task, as the cluster says.
const show = async (id) => JSON.parse((await run(UW, ['task', 'show', id, '--json'])).stdout);
const call = (c, name, args = {}, options = {}) =>
	modern ? c.callTool({ name, arguments: args }, options) : c.callTool({ name, arguments: args }, undefined, options);
const is = (got, expected) => JSON.stringify(got) === JSON.stringify(expected) || { got, expected };

let c = await start('--house', 'ezra');

await check('the server says who it is', () => is(c.getServerVersion()?.name, 'uni-wizard'));
await check('and how it is to be used', () => /pending/.test(c.getInstructions()) && /timmy/.test(c.getInstructions()));

const tools = [];
await check('all pages of tools are listed', async () => {
	let cursor;
	do {
		const page = await c.listTools(cursor ? { cursor } : undefined);
		tools.push(...page.tools);
		cursor = page.nextCursor;
	} while (cursor);
	const known = JSON.parse((await run(UW, ['tool', 'list', '--json'])).stdout).map((t) => t.name);
	const own = ['approvals_list', 'task_cancel', 'task_list', 'task_show'];
	return is(tools.map((t) => t.name), [...new Set([...known, ...own])].sort());
});
await check('a tool has its schema and what it does', () => {
	const t = tools.find((t) => t.name === 'file_write'), read = tools.find((t) => t.name === 'file_read');
	return is([t.inputSchema.required.includes('path'), t.annotations, read.annotations.readOnlyHint],
	    [true, { readOnlyHint: false, destructiveHint: true, idempotentHint: true }, true]);
});
await check('there is no tool that approves', () => is(tools.filter((t) => /approve$|deny|halt|grant|policy/.test(t.name)), []));

await check('a tool is run, and tells its result twice: structured and as text', async () => {
	const r = await call(c, 'file_list', { path: '.' });
	const s = r.structuredContent;
	return is([s.state, s.house, s.pending, JSON.parse(r.content[0].text)], ['succeeded', 'ezra', false, s]);
});
await check('as a task of whoever is served, through MCP', async () => {
	const { structuredContent: s } = await call(c, 'noop');
	const t = await show(s.task);
	return is([t.sender, t.task.labels], ['operator', { via: 'mcp', client: 'test-of-mcp' }]);
});
await check('a failure is an error with class and reason', async () => {
	const r = await call(c, 'breaks'), s = r.structuredContent;
	return is([r.isError, s.state, s.error.code, /no such planet/.test(s.error.message)], [true, 'failed', 'tool', true]);
});
await check('an unknown tool is an error of the protocol', async () => {
	const e = await call(c, 'no_such_tool').then(() => null, (e) => e);
	return is(e?.code, -32602);
});
await check('progress is told', async () => {
	const seen = [];
	const r = await call(c, 'slow', {}, { onprogress: (p) => seen.push(p), timeout: 20000 * SLOW });
	const values = seen.map((p) => p.progress);
	return is([r.structuredContent.result, values.every((v, i) => !i || v > values[i - 1]), seen.some((p) => /^step/.test(p.message) && p.total === 100)],
	    [{ steps: 10 }, true, true]);
});
await check('a call that is cancelled stops its task', async () => {
	const stop = new AbortController();
	const called = call(c, 'slow', {}, { signal: stop.signal }).then(() => 'answered', () => 'aborted');
	let id;
	await until(async () => {
		const l = (await call(c, 'task_list', { tool: 'slow', state: 'running' })).structuredContent.tasks;
		return (id = l[0]?.task);
	});
	stop.abort();
	await until(async () => (await show(id)).state === 'cancelled');
	return is(await called, 'aborted');
});
await check('many calls at once are all answered', async () => {
	const all = await Promise.all([...Array(40)].map(() => call(c, 'noop')));
	return is([all.every((r) => r.structuredContent.state === 'succeeded'), new Set(all.map((r) => r.structuredContent.task)).size], [true, 40]);
});
await check('what is too much is refused, and nothing else', async () => {
	const id = JSON.parse((await run(UW, ['submit', 'wait', 'ms=60000', '--house', 'ezra', '--json'])).stdout).id;
	const all = await Promise.all([...Array(80)].map(() => call(c, 'task_show', { id, wait_s: 2 * SLOW }).then((r) => r.structuredContent.state, (e) => e.code)));
	await call(c, 'task_cancel', { id });
	return is([all.filter((s) => s === 'running').length, all.filter((s) => s === -32000).length], [64, 16]);
});
await check('resources are tasks', async () => {
	const { structuredContent: s } = await call(c, 'noop');
	const list = (await c.listResources()).resources.map((r) => r.uri);
	const one = JSON.parse((await c.readResource({ uri: `uni-wizard://task/${s.task}` })).contents[0].text);
	const tasks = JSON.parse((await c.readResource({ uri: 'uni-wizard://tasks' })).contents[0].text).tasks;
	return is([list, one.state, tasks[0].task], [['uni-wizard://tasks', 'uni-wizard://approvals'], 'succeeded', s.task]);
});
await check('a task that nobody knows is said to be unknown', async () => {
	const r = await call(c, 'task_show', { id: '01ARZ3NDEKTSV4RRFFQ69G5FAV' });
	return is([r.isError, r.structuredContent.error.code], [true, 'unknown_task']);
});
await check('only own tasks are listed and cancelled', async () => {
	const other = JSON.parse((await run(UW, ['submit', 'wait', 'ms=60000', '--house', 'ezra', '--as', 'timmy', '--json'])).stdout).id;
	const r = await call(c, 'task_cancel', { id: other });
	const l = (await call(c, 'task_list', { limit: 200 })).structuredContent.tasks;
	const seen = (await call(c, 'task_show', { id: other })).structuredContent;
	await run(UW, ['task', 'cancel', other, '--as', 'timmy']);
	return is([r.isError, r.structuredContent.error.code, l.some((t) => t.task === other), seen.sender], [true, 'denied', false, 'timmy']);
});
await check('an own task is cancelled by its id', async () => {
	const id = JSON.parse((await run(UW, ['submit', 'wait', 'ms=60000', '--house', 'ezra', '--json'])).stdout).id;
	const r = await call(c, 'task_cancel', { id });
	await until(async () => (await show(id)).state === 'cancelled');
	const again = await call(c, 'task_cancel', { id });
	return is([r.isError ?? false, again.isError, again.structuredContent.error.code], [false, true, 'state']);
});
await c.close();

c = await start('--house', 'ezra', '--timeout', '2', '--tools', 'wait,file_*');
await check('only the tools that are allowed are offered', async () => {
	const names = (await c.listTools()).tools.map((t) => t.name);
	const e = await call(c, 'noop').then(() => null, (e) => e);
	return is([names.includes('wait'), names.includes('file_hash'), names.includes('noop'), e?.code], [true, true, false, -32602]);
});
await check('what lasts longer than the time is pending, and is waited for by its id', async () => {
	const r = await call(c, 'wait', { ms: 3000 }), s = r.structuredContent;
	const then = (await call(c, 'task_show', { id: s.task, wait_s: 20 })).structuredContent;
	return is([r.isError, s.pending, s.state, /task_show/.test(s.next), then.state, then.result.waited_ms >= 3000],
	    [false, true, 'running', true, 'succeeded', true]);
});
await c.close();

c = await start('--house', 'ezra', '--mode', 'sovereign');
let waits;
const file = `${WORK}/${KIND}.txt`;
await check('what needs approval is pending at once, and says what is asked', async () => {
	const began = Date.now(), r = await call(c, 'file_write', { path: file, content: 'hello' });
	waits = r.structuredContent;
	return is([r.isError, waits.state, waits.pending, /timmy/.test(waits.next), /hello/.test(waits.approval.dry_run), waits.approval.touches.length,
	    Date.now() - began < 5000 * SLOW, existsSync(file)], [false, 'waiting_approval', true, true, true, 1, true, false]);
});
await check('it stands in the list of what waits', async () => {
	const l = (await call(c, 'approvals_list')).structuredContent.tasks;
	return is([l.length, l[0].task, l[0].approval.hash], [1, waits.task, waits.approval.hash]);
});
await check('nobody has approved it through MCP', async () => {
	for (const name of ['approve', 'deny', 'approvals_approve']) {
		const e = await call(c, name, { id: waits.task }).then(() => null, (e) => e);
		if (e?.code !== -32602) return { name, e };
	}
	return is((await show(waits.task)).state, 'waiting_approval');
});
await check('once the sovereign has approved it, it runs, and its result is there', async () => {
	await run(UW, ['approve', waits.task]);
	const s = (await call(c, 'task_show', { id: waits.task, wait_s: 20 })).structuredContent;
	return is([s.state, s.pending, readFileSync(file, 'utf8')], ['succeeded', false, 'hello']);
});
await check('what he denies is told with his words', async () => {
	const { structuredContent: s } = await call(c, 'file_write', { path: `${file}.2`, content: 'no' });
	await run(UW, ['deny', s.task, '--why', 'not today']);
	const t = (await call(c, 'task_show', { id: s.task, wait_s: 20 })).structuredContent;
	return is([t.state, /not today/.test(t.error.message), existsSync(`${file}.2`)], ['denied', true, false]);
});
await c.close();

if (!modern) {
	c = await start('--house', 'ezra');
	await call(c, 'noop');
	await run(UW, ['cluster', 'kill', 'broker']);
	const calls = [call(c, 'file_hash', { path: 'nothing' }), call(c, 'wait', { ms: 1 })];
	let kept, back;
	await check('without a broker tasks are kept, and that is said', async () => {
		[kept, back] = (await Promise.all(calls)).map((r) => r.structuredContent);
		return is([kept.state, kept.pending, back.state, /task_cancel/.test(kept.next)], ['spooled', true, 'spooled', true]);
	});
	await check('lists say why there is none; a task that was kept is shown, or taken back', async () => {
		const [list, shown, cancelled] = await Promise.all([call(c, 'task_list'), call(c, 'task_show', { id: kept.task }), call(c, 'task_cancel', { id: back.task })]);
		return is([list.isError, list.structuredContent.error.code, shown.structuredContent.state, cancelled.structuredContent.state],
		    [true, 'network', 'spooled', 'cancelled']);
	});
	await c.close();
	await run(UW, ['cluster', 'start', 'broker']);
	await check('what was kept is sent when there is a broker again, though the server has ended', async () => {
		await until(async () => (await show(kept.task).catch(() => ({}))).state === 'failed', 20000 * SLOW);
		return is(JSON.parse((await run(UW, ['outbox', 'list', '--json'])).stdout), []);
	});
}
