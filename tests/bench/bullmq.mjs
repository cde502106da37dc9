// bullmq.mjs - the benchmark's job on Redis with BullMQ: a no-op whose result comes back by QueueEvents.
//
// node bullmq.mjs window JOBS PORT BYTES              as many a second as go through
// node bullmq.mjs pace JOBS PORT BYTES RATE HIST      microseconds from add to completed, "value count" lines
//
// BULLMQ_DIR holds node_modules. One worker process with concurrency 50, jobs added by 100, at most 2,000
// out. Prints per_s (window only) and clients_us, the processor time of both processes without their start.
import { fork } from 'node:child_process';
import { createRequire } from 'node:module';
import { appendFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const { Queue, QueueEvents, Worker } = createRequire(process.env.BULLMQ_DIR + '/')('bullmq');
const [mode, jobsText, port, bytes, rate, hist] = process.argv.slice(2);
const jobs = Number(jobsText);
const connection = { host: '127.0.0.1', port: Number(port), maxRetriesPerRequest: null };
const step = 100, outMost = 2000;

function spent(since) {
	const u = process.cpuUsage(since);
	return u.user + u.system;
}

async function work() {
	const worker = new Worker('bench', async (job) => job.data, { connection, concurrency: 50 });
	await worker.waitUntilReady();
	let from = process.cpuUsage();
	process.on('message', async (m) => {
		if (m === 'start')
			from = process.cpuUsage();
		else {
			process.send({ us: spent(from) });
			await worker.close();
			process.disconnect();
		}
	});
	process.send('ready');
}

function reply(child) {
	return new Promise((resolve, reject) => {
		child.once('message', resolve);
		child.once('exit', () => reject(new Error('the worker ended')));
	});
}

async function submit() {
	const child = fork(fileURLToPath(import.meta.url), ['work', jobsText, port, bytes]);
	const queue = new Queue('bench', { connection }), events = new QueueEvents('bench', { connection });
	const pad = 'x'.repeat(Math.max(0, Number(bytes) - 60)), putAt = new Map(), times = [];
	let put = 0, done = 0, wake = () => {};

	await Promise.all([reply(child), queue.waitUntilReady(), events.waitUntilReady()]);
	events.on('failed', ({ failedReason }) => { throw new Error(failedReason); });
	events.on('completed', ({ jobId }) => {
		if (mode === 'pace') {
			times.push(Math.round((performance.now() - putAt.get(jobId)) * 1000));
			putAt.delete(jobId);
		}
		done++;
		wake();
	});
	child.send('start');
	const cpu = process.cpuUsage(), start = performance.now();

	while (mode === 'pace' && put < jobs) {
		const due = start + put * 1000 / Number(rate), left = due - performance.now();
		if (left > 0)
			await new Promise((r) => setTimeout(r, left));
		const jobId = `j${process.pid}-${put++}`;
		putAt.set(jobId, performance.now());
		await queue.add('noop', { pad }, { jobId });
	}
	while (put < jobs) {
		while (put - done > outMost - step)
			await new Promise((r) => { wake = r; });
		const n = Math.min(step, jobs - put);
		put += n;
		await queue.addBulk(Array.from({ length: n }, () => ({ name: 'noop', data: { pad } })));
	}
	while (done < jobs)
		await new Promise((r) => { wake = r; });
	const ms = performance.now() - start, own = spent(cpu), theirs = reply(child);
	child.send('stop');
	const { us } = await theirs;
	if (mode === 'window')
		console.log(`per_s ${Math.round(jobs * 1000 / ms)}`);
	else
		appendFileSync(hist, times.map((t) => `${t} 1\n`).join(''));
	console.log(`clients_us ${own + us}`);
	await Promise.all([queue.close(), events.close()]);
}

await (mode === 'work' ? work() : submit());
