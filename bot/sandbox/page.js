// The sandbox's page: shows what /events tells, sends what people do to /acts. All text becomes text nodes.

const byId = (id) => document.getElementById(id);
const items = new Map(); // key -> what the server told of it
const texts = new Map(); // key -> the same as JSON, to see whether it changed
const read = new Map(); // person and place -> the newest message seen there
let you, editing; // editing: {pane, ts}

const EMOJI = { warning: "⚠️", eyes: "👀", "+1": "👍", no_bell: "🔕", tada: "🎉", heart: "❤️" };
const TRIES = [
  ["@Bobbin What's 1+1?", "answered in a thread"],
  ["And 3 more added to that?", "go on in that thread", "thread"],
  ["@Bobbin Show me a table, please", "Markdown"],
  ["@Bobbin A long answer, please", "watch it, press Stop"],
  ["@Bobbin wait 8: how many messages?", "write meanwhile"],
  ["@Bobbin fail no_access", "an error, a way on"],
];

function h(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (value !== false && value != null) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child || child === 0));
  return node;
}

// ---------------------------------------------------------------- text

const ENTITIES = { lt: "<", gt: ">", amp: "&", quot: '"', "#39": "'" };
const plain = (text) => text.replace(/&(lt|gt|amp|quot|#39);/g, (_, name) => ENTITIES[name]);
const nameOf = (id) => person(id)?.name ?? id;

function link(href, label) {
  if (!/^(https?:\/\/|mailto:)/i.test(href)) return label;
  return h("a", { href, rel: "noreferrer noopener", target: "_blank" }, label);
}

function inline(text, pattern, make) {
  const out = [];
  let end = 0;
  for (const match of text.matchAll(pattern)) {
    out.push(plain(text.slice(end, match.index)), make(match.groups));
    end = match.index + match[0].length;
  }
  return [...out, plain(text.slice(end))];
}

// What people and most blocks write: Slack's own markup.
const MRKDWN =
  /```\n?(?<pre>[^]*?)\n?```|`(?<code>[^`\n]+)`|<(?<href>[^<>|\n]+)(?:\|(?<label>[^<>\n]*))?>|(?<![\w*])\*(?<b>[^*\n]+)\*(?![\w*])|(?<!\w)_(?<i>[^_\n]+)_(?!\w)|(?<![\w~])~(?<s>[^~\n]+)~(?![\w~])|:(?<emoji>[a-z0-9_+-]+):|(?<br>\n)/g;

function mrkdwn(text) {
  return inline(text, MRKDWN, (g) => {
    if (g.pre != null) return h("pre", {}, h("code", {}, plain(g.pre)));
    if (g.code) return h("code", {}, plain(g.code));
    if (g.href) return g.href[0] === "@" ? h("b", { class: "mention" }, `@${g.label ?? nameOf(g.href.slice(1))}`)
      : /^[#!]/.test(g.href) ? g.label ?? g.href.replace("!", "@") : link(plain(g.href), plain(g.label ?? g.href));
    if (g.emoji) return EMOJI[g.emoji] ?? `:${g.emoji}:`;
    if (g.br) return h("br");
    return g.b ? h("strong", {}, mrkdwn(g.b)) : g.i ? h("em", {}, mrkdwn(g.i)) : h("s", {}, mrkdwn(g.s));
  });
}

// What the model writes: Markdown.
const MARKDOWN = new RegExp([
  /(?<ticks>`+)(?<code>[^]*?[^`])\k<ticks>(?!`)/, /\\(?<literal>[\p{P}\p{S}])/,
  /\[(?<label>[^\[\]]*(?:\[[^\[\]]*\][^\[\]]*)*)\]\((?<href>[^\s()]*(?:\([^\s()]*\)[^\s()]*)*)\)/,
  /<(?<auto>(?:https?:\/\/|mailto:)[^\s<>]+)>/, /(?<bare>https?:\/\/[^\s<>]*[^\s<>.,:;!?'")\]*_])/,
  /(?<star>\*{1,3}|~~)(?=\S)(?<starred>[^]*?[^\s*~])\k<star>/,
  /(?<![\p{L}\p{N}_])(?<under>_{1,3})(?=\S)(?<underlined>[^]*?[^\s_])\k<under>(?![\p{L}\p{N}])/,
  /(?<br>(?: {2,}|\\)?\n)/].map((each) => each.source).join("|"), "gu");

function span(text) {
  return inline(text, MARKDOWN, (g) => {
    if (g.code != null) return h("code", {}, plain(g.code.replace(/^ (.*[^ ].*) $/s, "$1")));
    if (g.literal) return g.literal;
    if (g.href != null) return link(plain(g.href), span(g.label));
    if (g.auto ?? g.bare) return link(plain(g.auto ?? g.bare), plain(g.auto ?? g.bare));
    if (g.br) return h("br");
    const mark = g.star ?? g.under, inside = span(g.starred ?? g.underlined);
    if (mark === "~~") return h("s", {}, inside);
    const strong = mark.length > 1 ? h("strong", {}, inside) : inside;
    return mark.length === 2 ? strong : h("em", {}, strong);
  });
}

const FENCE = /^ {0,3}(`{3,}|~{3,}) *([^`\s]*)/, HEADING = /^ {0,3}(#{1,6}) +(.*?)(?: +#+)? *$/, QUOTE = /^ {0,3}> ?/;
const RULE = /^ {0,3}([-*_])(?: *\1){2,} *$/, ITEM = /^( *)([-*+]|\d{1,9}[.)])( +|$)(?:\[([ xX])\] )?/;
const DASHES = /^ *\|? *:?-+:? *(\| *:?-+:? *)*\|? *$/;
const begins = (line) => [FENCE, HEADING, QUOTE, RULE, ITEM].some((pattern) => pattern.test(line));
const cells = (line) => line.trim().replace(/^\||(?<!\\)\|$/g, "").split(/(?<!\\)\|/).map((cell) => cell.trim());

function markdown(text) {
  return blocks(text.replace(/\r/g, "").split("\n"));
}

function blocks(lines) {
  const out = [];
  let at = 0;
  const take = (test) => { // the lines from here on, as long as the test holds
    const from = at;
    while (at < lines.length && test(lines[at])) at += 1;
    return lines.slice(from, at);
  };
  while (at < lines.length) {
    const line = lines[at];
    let match;
    if (!line.trim()) at += 1;
    else if ((match = FENCE.exec(line))) {
      const close = new RegExp(`^ {0,3}${match[1][0]}{${match[1].length},} *$`);
      at += 1;
      out.push(h("pre", { tabindex: 0 }, h("code", { "data-language": match[2] }, take((l) => !close.test(l)).join("\n"))));
      at += 1;
    } else if (RULE.test(line)) { out.push(h("hr")); at += 1; }
    else if ((match = HEADING.exec(line))) { out.push(h(`h${Math.min(6, match[1].length + 3)}`, {}, span(match[2]))); at += 1; }
    else if (QUOTE.test(line)) out.push(h("blockquote", {}, blocks(take((l) => QUOTE.test(l)).map((l) => l.replace(QUOTE, "")))));
    else if (ITEM.test(line)) out.push(list());
    else if (line.includes("|") && DASHES.test(lines[at + 1] ?? "")) out.push(table(take((l) => l.includes("|"))));
    else { at += 1; out.push(h("p", {}, span([line, ...take((l) => l.trim() && !begins(l))].map((l) => l.trimStart()).join("\n")))); }
  }
  return out;

  function list() {
    const [, indent, mark] = ITEM.exec(lines[at]), ordered = /\d/.test(mark), found = [];
    for (let match; at < lines.length && (match = ITEM.exec(lines[at])) && match[1].length === indent.length
      && /\d/.test(match[2]) === ordered && !RULE.test(lines[at]);) {
      const first = lines[at].slice(match[0].length), deep = indent.length + 2;
      at += 1;
      const rest = take((l) => l.trim() ? l.search(/\S/) >= deep || !begins(l) && lines[at - 1].trim()
        : /^ {2,}\S/.test(lines[at + 1] ?? "") || ITEM.test(lines[at + 1] ?? ""));
      const inside = blocks([first, ...rest.map((l) => l.slice(Math.min(l.search(/\S|$/), indent.length + match[2].length + 1)))]);
      const box = match[4] && (match[4] === " " ? "☐ " : "☑ ");
      found.push(h("li", {}, box, tight(inside)));
    }
    return h(ordered ? "ol" : "ul", { start: ordered && parseInt(mark, 10) }, found);
  }
}

// A single paragraph in an item is not set apart.
const tight = (nodes) => nodes.filter((each) => each.tagName === "P").length > 1 ? nodes
  : nodes.map((each) => each.tagName === "P" ? [...each.childNodes] : each);

function table([head, dashes, ...rows]) {
  const sides = cells(dashes).map((each) => (each.endsWith(":") ? (each[0] === ":" ? "middle" : "right") : false));
  const row = (tag, line) => h("tr", {}, cells(line).map((cell, n) => h(tag, { class: sides[n] }, span(cell.replace(/\\\|/g, "|")))));
  return h("div", { class: "table", tabindex: 0 }, h("table", {}, h("thead", {}, row("th", head)), h("tbody", {}, rows.map((each) => row("td", each)))));
}

// What is typed becomes Slack's markup, and back for an edit.
const escaped = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

function typed(text) {
  const names = people().map((each) => each.name).join("|");
  const mention = new RegExp(`@(${names})(?![\\p{L}\\p{N}])`, "giu");
  return text.split(/(```[^]*?```|`[^`\n]+`)/).map((part, n) => n % 2 ? escaped(part)
    : escaped(part).replace(/https?:\/\/[^\s<>]*[^\s<>.,:;!?'")\]]/g, "<$&>")
      .replace(mention, (_, name) => `<@${people().find((each) => each.name.toLowerCase() === name.toLowerCase()).id}>`)).join("");
}

const untyped = (text) => plain(text.replace(/<@(\w+)(?:\|[^>]*)?>/g, (_, id) => `@${nameOf(id)}`).replace(/<([^<>|]+)(?:\|[^<>]*)?>/g, "$1"));

// ---------------------------------------------------------------- what there is

const people = () => items.get("people") ?? []; // of these one is Bobbin
const person = (id) => people().find((each) => each.id === id);
const bot = () => people().find((each) => each.bot_id);
const values = (kind) => [...items].filter(([key]) => key.startsWith(`${kind} `)).map(([key, value]) => ({ key, ...value }));
const places = () => values("place").filter((each) => each.members.includes(you));
const messages = (place) => values("message").filter((m) => m.channel === place && (!m.only || m.only === you))
  .sort((a, b) => (a.ts < b.ts ? -1 : 1));
const isRoot = (m) => !m.thread_ts || m.thread_ts === m.ts || m.subtype === "thread_broadcast";
const session = (place, ts) => items.get(`session ${place} ${ts}`);
const working = (place, ts) => session(place, ts)?.status === "processing" && (session(place, ts).text || "is working…");

function titleOf(place) {
  if (place.kind === "im") return "Bobbin";
  if (place.kind === "mpim") return place.members.map((id) => nameOf(id).split(" ")[0]).join(", ");
  return place.name;
}

const MARKS = { channel: "#", group: "🔒", mpim: "⚇", im: "✉" };
const here = () => { // the place and thread that the address names
  const [place, thread] = location.hash.slice(1).split("/");
  const known = places();
  const found = known.find((each) => each.id === place) ?? known[0];
  return { place: found, thread: found?.id === place && items.has(`message ${place} ${thread}`) ? thread : undefined };
};
const go = (place, thread) => { location.hash = thread ? `${place}/${thread}` : place; };

async function act(name, facts) {
  try {
    const answer = await fetch(`/acts/${name}`,
      { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(facts) });
    const result = await answer.json();
    if (!answer.ok) throw new Error(result.error);
    return result;
  } catch (error) {
    tell(`That did not work: ${error.message}`);
    throw error;
  }
}

let silence;
function tell(words) {
  byId("problem").textContent = words;
  byId("problem").hidden = false;
  clearTimeout(silence);
  silence = setTimeout(() => { byId("problem").hidden = true; }, 8000);
}

// ---------------------------------------------------------------- a message

const clock = (ts) => new Date(ts * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
const button = (act, label, press, more = {}) => h("button", { type: "button", "data-act": act, click: press, ...more }, label);

function block(each, m) {
  const press = (element, choice = element) => button(`${element.action_id} ${choice.value ?? ""}`,
    choice.text?.text ?? element.action_id, (event) => {
      event.currentTarget.disabled = true;
      act("press", { user: you, channel: m.channel, ts: m.ts, action_id: element.action_id, value: choice.value });
    }, { title: choice.accessibility_label });
  const words = (text) => (text.type === "mrkdwn" ? mrkdwn(text.text) : text.text);
  switch (each.type) {
    case "markdown": return markdown(each.text);
    case "section": return h("p", {}, words(each.text));
    case "context": return h("p", { class: "context" }, each.elements.map((text) => h("span", {}, words(text))));
    case "actions": return h("p", { class: "actions" }, each.elements.map((element) => press(element)));
    case "context_actions": return h("p", { class: "actions" }, each.elements.map((element) => element.type === "feedback_buttons"
      ? [press(element, element.positive_button), press(element, element.negative_button)] : press(element)));
    default: return [];
  }
}

function body(m) {
  if (m.subtype === "tombstone") return h("p", {}, h("em", {}, m.text));
  if (m.user !== bot().id) return h("p", {}, mrkdwn(m.text));
  const shown = (m.blocks ?? []).map((each) => block(each, m)).flat(Infinity);
  if (m.streaming_state && !m.edited) return [...markdown(m.text), ...shown];
  return shown.length ? shown : h("p", {}, mrkdwn(m.text));
}

function message(m, inThread) {
  const own = m.user === you, isBot = m.user === bot().id, author = person(m.user);
  if (/_join$/.test(m.subtype ?? "")) return h("article", { class: "system" }, h("p", {}, mrkdwn(m.text)));
  const reaction = (name) => {
    const mine = m.reactions?.find((each) => each.name === name)?.users.includes(you);
    return () => act(mine ? "unreact" : "react", { user: you, channel: m.channel, ts: m.ts, name });
  };
  const tool = (name, sign, label, press) => button(name, sign, press, { "aria-label": label, title: label });
  const alive = m.subtype !== "tombstone" && !m.only;
  const tools = alive && h("span", { class: "tools" },
    !inThread && tool("reply", "↳", "Reply in its thread", () => { go(m.channel, m.thread_ts ?? m.ts); focusThread(); }),
    tool("react +1", "👍", "React with 👍", reaction("+1")),
    isRoot(m) && tool("react no_bell", "🔕", "Mute the thread (🔕 on its first message)", reaction("no_bell")),
    own && tool("edit", "✎", "Edit", (event) => edit(event.currentTarget.closest(".pane"), m)),
    own && tool("delete", "✕", "Delete", () => confirm("Delete this message?") && act("delete", { user: you, channel: m.channel, ts: m.ts })));
  const waits = !inThread && working(m.channel, m.ts);
  const count = m.reply_count ?? 0;
  return h("article", { class: [isBot && "bot", m.only && "note", m.streaming_state === "in_progress" && "streaming"].filter(Boolean).join(" "),
    "aria-busy": m.streaming_state === "in_progress" && "true" },
  h("span", { class: `face face${people().indexOf(author)} ${isBot ? "spool" : ""}`, "aria-hidden": "true" },
    !isBot && (author?.name ?? m.username ?? "?").split(" ").map((word) => word[0]).join("")),
  h("div", { class: "said" },
    h("p", { class: "by" }, h("b", {}, author?.name ?? m.username ?? "Somebody"),
      isBot && h("small", { class: "tag" }, "app"), author?.guest && h("small", { class: "tag" }, "guest"),
      author?.external && h("small", { class: "tag" }, "other organisation"),
      h("time", { datetime: new Date(m.ts * 1000).toISOString() }, clock(m.ts)),
      m.edited && h("small", {}, "(edited)"), m.only && h("small", {}, "only you see this"), tools),
    h("div", { class: "body" }, body(m)),
    m.reactions?.length > 0 && h("p", { class: "reactions" }, m.reactions.map((each) => button(`reacted ${each.name}`,
      `${EMOJI[each.name] ?? `:${each.name}:`} ${each.count}`, reaction(each.name),
      { "aria-pressed": String(each.users.includes(you)), title: each.users.map(nameOf).join(", ") }))),
    !inThread && (count > 0 || waits) && button("thread", [count > 0 && `${count} ${count === 1 ? "reply" : "replies"}`,
      waits && h("em", {}, `Bobbin ${waits}`)], () => { go(m.channel, m.ts); focusThread(); }, { class: "replies" })));
}

// ---------------------------------------------------------------- panes

function pane(id, label) {
  const node = byId(id);
  node.append(byId("pane").content.cloneNode(true));
  const form = node.querySelector("form"), box = form.elements.text;
  node.querySelector(".log").setAttribute("aria-label", label);
  node.shown = new Map();
  form.addEventListener("submit", (event) => { event.preventDefault(); send(node, box); });
  box.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); send(node, box); }
    if (event.key === "Escape" && editing) endEdit();
  });
  form.querySelector(".cancel").addEventListener("click", endEdit);
  form.querySelector(".mention").addEventListener("click", () => { box.setRangeText("@Bobbin ", box.selectionStart, box.selectionEnd, "end"); box.focus(); });
  return node;
}

const placePane = pane("place", "Messages"), threadPane = pane("thread", "Messages of the thread");
const focusThread = () => requestAnimationFrame(() => requestAnimationFrame(() => threadPane.querySelector("textarea").focus()));
threadPane.querySelector("header").append(h("button", { type: "button", class: "close", "aria-label": "Close the thread", click: () => go(here().place.id) }, "✕"));

async function send(node, box) {
  const { place, thread } = here(), text = typed(box.value.trim());
  if (!text) return;
  const channel = place.id, inThread = node === threadPane;
  if (editing?.pane === node) {
    await act("edit", { user: you, channel, ts: editing.ts, text });
    endEdit();
    return;
  }
  const kept = box.value;
  box.value = "";
  try {
    const ts = await act("say", { user: you, channel, text, thread: inThread ? thread : null });
    const answered = place.kind === "im" || (place.members.includes(bot().id) && text.includes(`<@${bot().id}>`));
    if (!inThread && answered) { wanted = `${channel}/${ts}`; draw(); }
  } catch { box.value = kept; }
}

let wanted; // a thread to open once its first message is told
function edit(node, m) {
  endEdit();
  editing = { pane: node, ts: m.ts };
  node.querySelector(".editing").hidden = false;
  const box = node.querySelector("textarea");
  box.value = untyped(m.text);
  box.focus();
}

function endEdit() {
  if (!editing) return;
  editing.pane.querySelector(".editing").hidden = true;
  editing.pane.querySelector("textarea").value = "";
  editing = undefined;
}

function sync(node, list, inThread) {
  const log = node.querySelector(".log"), where = `${you} ${here().place.id} ${inThread && here().thread}`;
  const fresh = node.where !== where, atEnd = fresh || log.scrollHeight - log.scrollTop - log.clientHeight < 60;
  if (fresh) { node.shown.clear(); log.replaceChildren(); node.where = where; }
  for (const [key, { node: old }] of node.shown) if (!list.some((m) => m.key === key)) { old.remove(); node.shown.delete(key); }
  list.forEach((m, n) => {
    const sign = `${texts.get(m.key)} ${inThread || texts.get(`session ${m.channel} ${m.ts}`)}`;
    let shown = node.shown.get(m.key);
    if (shown?.sign !== sign) {
      const next = message(m, inThread), focused = shown?.node.contains(document.activeElement) && document.activeElement.dataset.act;
      shown?.node.replaceWith(next);
      if (focused) next.querySelector(`[data-act="${CSS.escape(focused)}"]`)?.focus();
      node.shown.set(m.key, shown = { sign, node: next });
    }
    if (log.children[n] !== shown.node) log.insertBefore(shown.node, log.children[n] ?? null);
  });
  if (atEnd) log.scrollTop = log.scrollHeight;
}

function draw() {
  if (!bot()) return;
  you = people().some((each) => each.id === you) ? you : people().find((each) => !each.bot_id).id;
  if (wanted && items.has(`message ${wanted.replace("/", " ")}`)) { location.hash = wanted; wanted = undefined; focusThread(); }
  const { place, thread } = here(), all = messages(place.id), member = place.members.includes(bot().id);
  drawTop();
  places().forEach((each, n) => {
    const key = `${you} ${each.id}`, newest = messages(each.id).at(-1)?.ts ?? "";
    if (each.id === place.id || !read.has(key)) read.set(key, newest);
    each.unread = read.get(key) < newest;
    drawPlace(each, n, place);
  });
  for (const old of [...byId("places").children]) if (!places().some((each) => each.id === old.dataset.place)) old.remove();
  placePane.querySelector("h2").textContent = `${MARKS[place.kind]} ${titleOf(place)}`;
  placePane.querySelector("textarea").placeholder = `Message to ${titleOf(place)}`;
  placePane.querySelector(".about").replaceChildren(...(member
    ? [place.kind === "im" ? "Every message here begins a thread, and is answered in it." : place.members.map(nameOf).join(", ")]
    : ["Bobbin is not in this channel. ", button("invite", "Invite Bobbin", () => act("invite_bot", { user: you, channel: place.id }))]));
  sync(placePane, all.filter((m) => isRoot(m)), false);
  threadPane.hidden = !thread;
  document.body.classList.toggle("threaded", Boolean(thread));
  if (!thread) return;
  threadPane.querySelector("h2").textContent = "Thread";
  threadPane.querySelector("textarea").placeholder = "Reply in this thread";
  threadPane.querySelector(".about").textContent = `in ${place.kind === "im" ? "your messages with Bobbin" : titleOf(place)}`;
  sync(threadPane, all.filter((m) => m.ts === thread || m.thread_ts === thread), true);
  const busy = working(place.id, thread), status = threadPane.querySelector(".status");
  if (status.dataset.words !== String(busy)) {
    status.dataset.words = String(busy);
    status.replaceChildren(...(busy ? [h("span", {}, `Bobbin ${busy}`),
      button("stop", "Stop", () => act("stop", { user: you, channel: here().place.id, thread_ts: here().thread }))] : []));
  }
}

function drawPlace(each, n, current) {
  const nav = byId("places"), label = `${MARKS[each.kind]} ${titleOf(each)}`;
  const node = nav.querySelector(`[data-place="${each.id}"]`) ?? h("button", { type: "button", "data-place": each.id, click: () => go(each.id) });
  if (nav.children[n] !== node) nav.insertBefore(node, nav.children[n] ?? null);
  if (node.textContent !== label) node.textContent = label;
  node.classList.toggle("unread", each.unread);
  if (each.id === current.id) node.setAttribute("aria-current", "page"); else node.removeAttribute("aria-current");
}

function drawTop() {
  const { model, connected, ends, log } = items.get("bobbin");
  const died = ends.length > 0 && (ends.at(-1) < 0 ? `by signal ${-ends.at(-1)}` : `with code ${ends.at(-1)}`);
  const words = connected ? `Bobbin is connected${died ? ` (restarted ${ends.length}×)` : ""}`
    : died ? `Bobbin ended ${died}, and is started again` : "Bobbin is not connected";
  if (byId("health-words").textContent !== words) byId("health-words").textContent = words;
  byId("health").className = connected ? "good" : "bad";
  byId("health").title = `${died ? `It last ended ${died}. ` : ""}Its log: ${log}`;
  byId("model").textContent = model === "bedrock" ? "Claude on the real Bedrock answers."
    : "A script answers, not Claude (SANDBOX_MODEL=bedrock asks the real one).";
  if (byId("you").children.length > 1) return;
  byId("you").append(...people().filter((each) => !each.bot_id).map((each) => h("label", {},
    h("input", { type: "radio", name: "you", value: each.id, checked: each.id === you, change: () => { endEdit(); you = each.id; draw(); } }),
    h("span", {}, each.name, each.guest && h("small", {}, " guest"), each.external && h("small", {}, " other organisation")))));
}

byId("kill").addEventListener("click", () => act("kill", {}));
byId("tries").append(...TRIES.map(([text, why, where]) => h("li", {}, h("button", { type: "button", click: () => {
  const node = where && !threadPane.hidden ? threadPane : placePane;
  node.querySelector("textarea").value = text;
  node.querySelector("textarea").focus();
} }, text), " ", h("small", {}, why))));
byId("guide").open = innerWidth > 700;

// ---------------------------------------------------------------- news

let drawing;
const soon = () => { drawing ??= setTimeout(() => { drawing = undefined; draw(); }, 16); };
addEventListener("hashchange", () => { endEdit(); draw(); });
history.replaceState(null, "", `/${location.hash}`); // the token stays out of sight, and out of the history
const news = new EventSource("/events");
news.addEventListener("open", () => { items.clear(); texts.clear(); byId("problem").hidden = true; });
news.addEventListener("message", (event) => {
  for (const [key, text] of Object.entries(JSON.parse(event.data))) {
    if (text === null) { items.delete(key); texts.delete(key); } else { items.set(key, JSON.parse(text)); texts.set(key, text); }
  }
  for (const each of people()) each.name = each.bot_id ? "Bobbin" : each.display;
  soon();
});
news.addEventListener("error", () => {
  byId("health").className = "bad";
  byId("health-words").textContent = "The sandbox has ended, or is out of reach. Where it was started anew, open the address that it printed.";
});
