#!/usr/bin/env node
// A double of Hermes's API server: /v1/runs as version 0.18 has it, and nothing else of Hermes. There is no model behind it:
// what a run does is written in its prompt, one step a line.
//
//   say TEXT          message.delta, and part of the output
//   tool NAME PREVIEW tool.started; tool.completed after the next `wait`, at once without one
//   failing NAME PREVIEW   the same, with error: true
//   write NAME TEXT   a tool that writes this line into the file, in the directory that `instructions` name as the one to work in
//   wait MS
//   ask COMMAND       approval.request; goes on when it is answered: after deny, its output says so
//   fail WHY          run.failed
//   partial [MEMBER]  run.completed, but not completed: "completed": false, or "partial", "failed" or "interrupted": true
//   empty             run.completed without a text
//   cut               the connection of the stream is reset; the run goes on
//   hang              the run does nothing any more until it is stopped
//   lose              the run is forgotten, as after a restart
//
// double.mjs PORTFILE LOG: prints its port into PORTFILE, and each request as a line of JSON into LOG.
// HERMES_PORT: to listen at (any). HERMES_KEY: API_SERVER_KEY. HERMES_MAX: concurrent runs (10). HERMES_OLD=1: 0.11, which knows neither status, approval nor stop.
// POST /double/hook {"url","secret",...}: sends a signed outbound webhook, as Hermes would; the rest of the object is its body.
// "count" of them, one after the other, "every" so many ms.
import http from 'node:http'
import crypto from 'node:crypto'
import fs from 'node:fs'
import { basename, join } from 'node:path'

const [portFile, logFile] = process.argv.slice(2)
const key = process.env.HERMES_KEY || 'k'
const max = Number(process.env.HERMES_MAX || 10)
const old = Boolean(process.env.HERMES_OLD)
const runs = new Map()

const error = (message, code, type = 'invalid_request_error') => ({ error: { message, type, param: null, code } })

function reply(res, status, body, headers = {}) {
	res.writeHead(status, { 'Content-Type': 'application/json', ...headers })
	res.end(JSON.stringify(body))
}

const sleep = (ms, run) => new Promise((done) => {
	run.wake = done
	setTimeout(done, ms)
})

function emit(run, event, more = {}) {
	run.lastEvent = event
	run.updated = Date.now() / 1000
	const line = `data: ${JSON.stringify({ event, run_id: run.id, timestamp: Date.now() / 1000, ...more })}\n\n`
	if (run.reader)
		run.reader.write(line)
	else
		run.buffered.push(line)
}

function finish(run, status, event, more) {
	run.status = status
	Object.assign(run.result, more)
	emit(run, event, more)
	if (run.reader)
		run.reader.end(': stream closed\n\n')
	run.closed = true
}

const usage = (run) => ({ input_tokens: 1200, output_tokens: run.output.length, total_tokens: 1200 + run.output.length })

async function go(run) {
	let open = null
	const done = () => {
		if (open)
			emit(run, 'tool.completed', { tool: open.name, duration: (Date.now() - open.at) / 1000, error: open.failing })
		open = null
	}
	for (const line of run.steps) {
		const [, word, rest] = line.match(/^(\S+)\s*(.*)$/) || [, '', '']
		if (run.stopping)
			break
		if (open && word !== 'wait' && word !== 'ask')
			done()
		if (word === 'say') {
			run.output += (run.output ? ' ' : '') + rest
			emit(run, 'message.delta', { delta: rest })
		} else if (word === 'tool' || word === 'failing') {
			const [, name, preview] = rest.match(/^(\S+)\s*(.*)$/)
			open = { name, at: Date.now(), failing: word === 'failing' }
			emit(run, 'tool.started', { tool: name, preview })
		} else if (word === 'write') {
			const [, name, text] = rest.match(/^(\S+)\s*(.*)$/)
			open = { name: 'write_file', at: Date.now(), failing: !run.dir }
			emit(run, 'tool.started', { tool: 'write_file', preview: name })
			if (run.dir)
				fs.writeFileSync(join(run.dir, basename(name)), text + '\n')
		} else if (word === 'wait') {
			await sleep(Number(rest), run)
			if (!run.stopping)
				done()
		} else if (word === 'ask') {
			run.status = 'waiting_for_approval'
			emit(run, 'approval.request', { command: rest, choices: ['once', 'session', 'always', 'deny'] })
			while (!run.choice && !run.stopping)
				await sleep(1000, run)
			if (run.stopping)
				break
			run.status = 'running'
			emit(run, 'approval.responded', { choice: run.choice, resolved: 1 })
			run.output += run.choice === 'deny' ? ' (denied)' : ` (ran: ${rest})`
			run.choice = null
		} else if (word === 'fail') {
			return finish(run, 'failed', 'run.failed', { error: rest })
		} else if (word === 'partial') {
			const how = rest ? { [rest]: true } : { completed: false }
			return finish(run, 'completed', 'run.completed', { output: run.output, ...how, usage: usage(run) })
		} else if (word === 'empty') {
			return finish(run, 'completed', 'run.completed', { output: '', usage: usage(run) })
		} else if (word === 'cut') {
			if (run.reader)
				run.reader.destroy()
			run.reader = null
		} else if (word === 'hang') {
			while (!run.stopping)
				await sleep(1000, run)
		} else if (word === 'lose') {
			runs.delete(run.id)
			if (run.reader)
				run.reader.destroy()
			return
		}
	}
	if (run.stopping)
		return finish(run, 'cancelled', 'run.cancelled', {})
	done()
	finish(run, 'completed', 'run.completed', { output: run.output, usage: usage(run) })
}

function begin(res, body) {
	if (!body || !body.input)
		return reply(res, 400, error("Missing 'input'", 'missing_input'))
	if ([...runs.values()].filter((r) => !r.closed).length >= max)
		return reply(res, 429, error(`Too many concurrent runs (max ${max})`, 'rate_limit_exceeded', 'rate_limit_error'), { 'Retry-After': '1' })
	const run = { id: `run_${crypto.randomBytes(16).toString('hex')}`, status: 'running', steps: String(body.input).split('\n'), output: '',
		dir: (/^Work in the directory (.*) and nowhere else\.$/m.exec(body.instructions || '') || [])[1],
		buffered: [], session: body.session_id || null, model: body.model || 'hermes-agent', created: Date.now() / 1000, result: {} }
	runs.set(run.id, run)
	reply(res, 202, { run_id: run.id, status: 'started' })
	setImmediate(() => go(run))
}

function status(run) {
	return { object: 'hermes.run', run_id: run.id, status: run.status, created_at: run.created, updated_at: run.updated,
		session_id: run.session, model: run.model, last_event: run.lastEvent, ...run.result }
}

// One reader, and what was said before it came; nothing is said twice.
function events(req, res, run) {
	res.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache' })
	res.write(': keepalive\n\n')
	for (const line of run.buffered.splice(0))
		res.write(line)
	if (run.closed)
		return res.end(': stream closed\n\n')
	run.reader = res
	res.on('close', () => { if (run.reader === res) run.reader = null })
}

function approve(res, run, body) {
	const choices = { once: 'once', session: 'session', always: 'always', deny: 'deny', approve: 'once', approved: 'once', allow: 'once' }
	if (!choices[body && body.choice])
		return reply(res, 400, error('Invalid choice', 'invalid_approval_choice'))
	if (run.status !== 'waiting_for_approval')
		return reply(res, 409, error('No approval is pending', 'approval_not_pending'))
	run.choice = choices[body.choice]
	reply(res, 200, { run_id: run.id, choice: run.choice, resolved: 1 })
	run.wake()
}

function stop(res, run) {
	run.stopping = true
	if (!run.closed)
		run.status = 'stopping'
	reply(res, 200, { run_id: run.id, status: 'stopping' })
	if (run.wake)
		run.wake()
}

// The body goes out exactly as it is signed.
function hook(res, o) {
	const { url, secret, count = 1, every = 0, ...rest } = o
	let left = count
	const times = []
	// "@now" stands for the time right before it is sent, in milliseconds.
	const one = () => {
		const now = String(performance.timeOrigin + performance.now())
		const body = JSON.stringify({ profile: 'default', delivery_id: crypto.randomBytes(16).toString('hex'),
			timestamp: new Date().toISOString().replace(/\.\d+Z/, 'Z'), ...rest }).replaceAll('@now', now)
		const mac = crypto.createHmac('sha256', secret).update(body).digest('hex')
		const began = process.hrtime.bigint()
		const req = http.request(url, { method: 'POST', agent: false, headers: { 'Content-Type': 'application/json',
			'User-Agent': 'Hermes-Agent-Outbound-Webhook', 'X-Hermes-Event': rest.hook_event_name,
			'X-Hermes-Delivery': 'd', 'X-Hermes-Signature-256': `sha256=${mac}` } }, (r) => {
			r.resume()
			r.on('end', () => {
				times.push(Number(process.hrtime.bigint() - began) / 1e6)
				--left > 0 ? setTimeout(one, every) : reply(res, 200, { status: r.statusCode, ms: times })
			})
		})
		req.on('error', (e) => reply(res, 200, { status: 0, error: e.message }))
		req.end(body)
	}
	one()
}

function route(req, res, body) {
	const path = req.url.split('?')[0]
	const [, id, verb] = path.match(/^\/v1\/runs\/([^/]+)(?:\/([a-z]+))?$/) || []
	if (path === '/health' || path === '/v1/health')
		return reply(res, 200, { status: 'ok', platform: 'hermes-agent', version: '0.18.0' })
	if (path === '/double/hook')
		return hook(res, body)
	if (req.headers.authorization !== `Bearer ${key}`)
		return reply(res, 401, { error: { message: 'Invalid API key', type: 'invalid_request_error', code: 'invalid_api_key' } })
	if (path === '/v1/runs' && req.method === 'POST')
		return begin(res, body)
	const run = runs.get(id)
	if (id && !run)
		return reply(res, 404, error(`Run not found: ${id}`, 'run_not_found'))
	if (run && verb === 'events' && req.method === 'GET')
		return events(req, res, run)
	if (run && !old && !verb && req.method === 'GET')
		return reply(res, 200, status(run))
	if (run && !old && verb === 'approval' && req.method === 'POST')
		return approve(res, run, body)
	if (run && !old && verb === 'stop' && req.method === 'POST')
		return stop(res, run)
	reply(res, 404, error('Not found', 'not_found'))
}

const server = http.createServer((req, res) => {
	const pieces = []
	let size = 0
	req.on('data', (p) => (size += p.length) <= 10000000 && pieces.push(p))
	req.on('end', () => {
		const text = Buffer.concat(pieces).toString()
		let body = null
		if (logFile)
			fs.appendFileSync(logFile, JSON.stringify({ method: req.method, url: req.url, auth: req.headers.authorization || null, body: text }) + '\n')
		try {
			body = text ? JSON.parse(text) : null
		} catch {
			return reply(res, 400, error('Invalid JSON', 'invalid_json'))
		}
		route(req, res, body)
	})
})
server.listen(Number(process.env.HERMES_PORT || 0), '127.0.0.1', () => {
	fs.writeFileSync(`${portFile}.new`, String(server.address().port))
	fs.renameSync(`${portFile}.new`, portFile)
})
