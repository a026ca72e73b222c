// A web UI of the Engine API with nothing between: lists, streams and consoles as Portainer and its like ask for them.
"use strict";

const ENGINE = "/engine";
const SHOWN = JSON.stringify({ label: ["shown-in-ui"] });
const element = (id) => document.getElementById(id);

async function call(method, path, body) {
  const answer = await fetch(ENGINE + path, {
    method,
    headers: body ? { "Content-Type": "application/json" } : {},
    body: body && JSON.stringify(body),
  });
  if (!answer.ok && answer.status !== 304) throw new Error((await answer.json()).message);
  return answer;
}

async function* chunks(answer) {
  const reader = answer.body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    yield value;
  }
}

async function* lines(answer) {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of chunks(answer)) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = parts.pop();
    for (const part of parts) if (part.trim()) yield JSON.parse(part);
  }
}

// The multiplexed stream: a byte for the stream, three of nothing, four for the size, and then the data.
async function* frames(answer) {
  let held = new Uint8Array();
  for await (const chunk of chunks(answer)) {
    const grown = new Uint8Array(held.length + chunk.length);
    grown.set(held);
    grown.set(chunk, held.length);
    held = grown;
    while (held.length >= 8) {
      const end = 8 + new DataView(held.buffer, held.byteOffset).getUint32(4);
      if (held.length < end) break;
      yield { stream: held[0], data: held.slice(8, end) };
      held = held.slice(end);
    }
  }
}

function show(id, data, kind = "stdout") {
  const span = document.createElement("span");
  span.className = kind;
  const text = typeof data === "string" ? data : new TextDecoder().decode(data);
  span.textContent = text.replace(/\x1b\[[0-9;?]*[A-Za-z]/g, "");
  element(id).append(span);
  element(id).scrollTop = element(id).scrollHeight;
}

function row(container) {
  const name = container.Names[0].slice(1);
  const tr = document.createElement("tr");
  tr.dataset.name = name;
  const ports = container.Ports.map((port) => `${port.PublicPort ?? ""}→${port.PrivatePort}/${port.Type}`);
  for (const text of [name, container.Image, container.State, container.Status, ports.join(" ")]) {
    tr.insertCell().textContent = text;
  }
  tr.cells[2].className = container.State;
  const buttons = tr.insertCell();
  const verbs = {
    start: () => call("POST", `/containers/${name}/start`),
    stop: () => call("POST", `/containers/${name}/stop?t=1`),
    remove: () => call("DELETE", `/containers/${name}?v=1&force=1`),
    logs: () => logs(name),
    stats: () => stats(name),
    console: () => attach(name),
    exec: () => exec(name),
  };
  for (const [verb, act] of Object.entries(verbs)) {
    const button = document.createElement("button");
    button.textContent = button.name = verb;
    button.onclick = act;
    buttons.append(button);
  }
  return tr;
}

async function list() {
  const query = new URLSearchParams({ all: "true", filters: SHOWN });
  const containers = await (await call("GET", `/containers/json?${query}`)).json();
  element("list").replaceChildren(...containers.map(row));
}

async function watch() {
  const filters = JSON.stringify({ type: ["container"], label: ["shown-in-ui"] });
  const answer = await call("GET", `/events?${new URLSearchParams({ filters })}`);
  await list();
  for await (const event of lines(answer)) if (!event.Action.startsWith("exec_")) await list();
}

async function logs(name) {
  element("logs-of").textContent = name;
  element("logs").replaceChildren();
  const query = "stdout=1&stderr=1&timestamps=1&tail=3&follow=1";
  const answer = await call("GET", `/containers/${name}/logs?${query}`);
  for await (const { stream, data } of frames(answer)) show("logs", data, ["stdin", "stdout", "stderr"][stream]);
  show("logs", "(the end)");
}

function cpuPercent({ cpu_stats: now, precpu_stats: before }) {
  const used = now.cpu_usage.total_usage - before.cpu_usage.total_usage;
  const passed = now.system_cpu_usage - before.system_cpu_usage;
  return passed > 0 ? (100 * now.online_cpus * used) / passed : 0;
}

async function stats(name) {
  element("stats-of").textContent = name;
  element("stats").replaceChildren();
  for await (const sample of lines(await call("GET", `/containers/${name}/stats?stream=true`))) {
    if (sample.precpu_stats?.system_cpu_usage === undefined) continue;
    const memory = (sample.memory_stats.usage ?? 0) / 1048576;
    const received = Object.values(sample.networks ?? {}).reduce((sum, link) => sum + link.rx_bytes, 0);
    show("stats", `cpu ${cpuPercent(sample).toFixed(1)}% memory ${memory.toFixed(2)}MiB received ${received}B\n`);
  }
}

function terminal(id, path) {
  element(id).replaceChildren();
  const socket = new WebSocket(`ws://${location.host}${path}`);
  socket.binaryType = "arraybuffer";
  socket.onmessage = ({ data }) => show(id, data);
  socket.onclose = () => show(id, "(closed)");
  const input = element(`${id}-input`);
  input.disabled = true;
  socket.onopen = () => {
    input.disabled = false;
    input.focus();
  };
  input.onkeydown = ({ key }) => {
    if (key !== "Enter") return;
    socket.send(input.value + "\r");
    input.value = "";
  };
}

function attach(name) {
  element("attach-of").textContent = name;
  terminal("attach", `${ENGINE}/containers/${name}/attach/ws?logs=1&stream=1&stdin=1&stdout=1&stderr=1`);
}

async function exec(name) {
  element("exec-of").textContent = name;
  const asked = { AttachStdin: true, AttachStdout: true, AttachStderr: true, Tty: true, Cmd: ["sh"] };
  const { Id: id } = await (await call("POST", `/containers/${name}/exec`, asked)).json();
  terminal("exec", `/websocket/exec?id=${id}`);
  for (let tries = 0; tries < 20; tries++) {
    if ((await (await call("GET", `/exec/${id}/json`)).json()).Running) break;
    await new Promise((done) => setTimeout(done, 50));
  }
  await call("POST", `/exec/${id}/resize?h=33&w=101`);
  element("exec-of").textContent = `${name} (101×33)`;
}

call("GET", "/version")
  .then((answer) => answer.json())
  .then((version) => (element("engine").textContent = `${version.Platform.Name} ${version.Version}`));
watch();
