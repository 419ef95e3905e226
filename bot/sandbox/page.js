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
  ["@Bobbin A long answer, please", "kill Bobbin in it, or write “stop”"],
  ["@Bobbin wait 8: how many messages?", "write meanwhile"],
  ["@Bobbin fail no_access", "an error, a way on"],
  ["/bobbin help", "a command; more in a message's ⋯"],
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

// An address of a message, as the app is told it, leads to its place on this page.
const PERMALINK = /^https:\/\/sandbox\.slack\.com\/archives\/(\w+)\/p(\d+)(\d{6})(?:\?thread_ts=([\d.]+))?/;

function link(href, label) {
  const [, place, seconds, micros, thread] = PERMALINK.exec(href) ?? [];
  if (place) return h("a", { href: `#${place}/${thread ?? `${seconds}.${micros}`}` }, label);
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
const stoppable = (place, ts) => session(place, ts)?.status === "processing" && !session(place, ts).text; // as in Slack

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
  const within = found?.id === place;
  return { place: found, home: within && found.kind === "im" && thread === "home",
    thread: within && items.has(`message ${place} ${thread}`) ? thread : undefined };
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

const menu = (kind) => items.get("menu")?.[kind] ?? [];

// Says so where the app took no notice of what somebody did.
async function answered(acting) {
  const answer = await acting;
  if (answer === null) tell("Bobbin did not answer that in time.");
  return answer;
}

let silence;
function tell(words, calm = false) {
  byId("problem").textContent = words;
  byId("problem").className = calm ? "calm" : "";
  byId("problem").hidden = false;
  clearTimeout(silence);
  silence = setTimeout(() => { byId("problem").hidden = true; }, 8000);
}

// ---------------------------------------------------------------- a message

const clock = (ts) => new Date(ts * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
const button = (act, label, press, more = {}) => h("button", { type: "button", "data-act": act, click: press, ...more }, label);

// A block's elements; `press(action_id, value)` tells the app of a button.
function block(each, press) {
  const words = (text) => (text.type === "mrkdwn" ? mrkdwn(text.text) : text.text);
  const control = (element, choice = element) => button(`${element.action_id} ${choice.value ?? ""}`,
    choice.text?.text ?? element.action_id, async (event) => {
      const pressed = event.currentTarget, sure = element.confirm;
      if (sure && !confirm(`${sure.title.text}\n\n${sure.text.text}`)) return;
      pressed.disabled = true;
      try { await press(element.action_id, choice.value); } finally { pressed.disabled = false; }
    }, { title: choice.accessibility_label, class: element.style });
  const controls = (element) => (element.type === "feedback_buttons"
    ? [control(element, element.positive_button), control(element, element.negative_button)] : control(element));
  switch (each.type) {
    case "markdown": return markdown(each.text);
    case "header": return h("h3", {}, each.text.text);
    case "divider": return h("hr");
    case "section": return h("div", { class: "section" }, h("p", {}, words(each.text)), each.accessory && control(each.accessory));
    case "context": return h("p", { class: "context" }, each.elements.map((text) => h("span", {}, words(text))));
    case "actions": case "context_actions": return h("p", { class: "actions" }, each.elements.map(controls));
    case "input": return field(each);
    default: return [];
  }
}

function field({ label, element, optional, hint, block_id }) {
  const facts = { name: element.action_id, maxlength: element.max_length, minlength: element.min_length, required: !optional,
    placeholder: element.placeholder?.text };
  const box = element.multiline ? h("textarea", { ...facts, rows: 5 }, element.initial_value)
    : h("input", { ...facts, value: element.initial_value });
  return h("label", { class: "field" }, h("b", {}, label.text), optional && h("small", {}, " optional"), box,
    hint && h("small", {}, hint.text), h("small", { class: "wrong", role: "alert", "data-block": block_id }));
}

function body(m) {
  if (m.subtype === "tombstone") return h("p", {}, h("em", {}, m.text));
  if (m.user !== bot().id) return h("p", {}, mrkdwn(m.text));
  const press = (action_id, value) => answered(act("press", { user: you, channel: m.channel, ts: m.ts, action_id, value }));
  const shown = (m.blocks ?? []).map((each) => block(each, press)).flat(Infinity);
  if (m.streaming_state && !m.edited) return [...markdown(m.text), ...shown];
  return shown.length ? shown : h("p", {}, mrkdwn(m.text));
}

const SIZES = [[2 ** 20, "MB"], [2 ** 10, "KB"], [1, "bytes"]];
function fileOf(m) {
  return (file) => {
    if (file.mode === "tombstone") return h("span", {}, h("em", {}, `${file.name} was deleted`));
    const [unit, name] = SIZES.find(([least]) => file.size >= least) ?? SIZES[2];
    return h("span", {}, h("a", { href: `/files/${file.id}`, download: file.name }, `📎 ${file.name}`),
      h("small", {}, ` ${Math.round(file.size / unit)} ${name} `),
      m.user === you && button(`delete ${file.id}`, "✕", () => act("delete_file", { user: you, file_id: file.id }), { "aria-label": `Delete the file ${file.name}` }));
  };
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
    menu("shortcuts").length > 0 && h("select", { "data-act": "more", "aria-label": "More to do with this message", change: (event) => {
      answered(act("shortcut", { user: you, callback_id: event.target.value, channel: m.channel, ts: m.ts }));
      event.target.selectedIndex = 0;
    } }, h("option", { value: "" }, "⋯"), menu("shortcuts").filter((each) => each.type === "message").map((each) => h("option", { value: each.callback_id }, each.name))),
    own && tool("edit", "✎", "Edit", (event) => edit(event.currentTarget.closest(".pane"), m)),
    own && tool("delete", "✕", "Delete", (event) => {
      if (!confirm("Delete this message?")) return;
      event.currentTarget.closest(".pane").querySelector("textarea").focus(); // the button goes with its message
      act("delete", { user: you, channel: m.channel, ts: m.ts });
    }));
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
    m.files?.length > 0 && h("p", { class: "files" }, m.files.map(fileOf(m))),
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
  form.addEventListener("submit", (event) => { event.preventDefault(); send(node, box); });
  box.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); send(node, box); }
    if (event.key === "Escape" && editing) { endEdit(); event.stopPropagation(); }
    if (event.key === "ArrowUp" && !box.value) {
      const { place, thread } = here(), newest = messages(place.id).findLast((m) => m.user === you && !m.only
        && (node === threadPane ? m.ts === thread || m.thread_ts === thread : isRoot(m)));
      if (newest) { event.preventDefault(); edit(node, newest); }
    }
  });
  form.querySelector(".cancel").addEventListener("click", endEdit);
  form.elements.files.addEventListener("change", () => attached(form));
  form.querySelector(".detach").addEventListener("click", () => { form.elements.files.value = ""; attached(form); box.focus(); });
  form.querySelector(".command").addEventListener("click", () => { box.value = "/bobbin "; box.focus(); });
  form.querySelector(".mention").addEventListener("click", () => { box.setRangeText("@Bobbin ", box.selectionStart, box.selectionEnd, "end"); box.focus(); });
  return node;
}

const placePane = pane("place", "Messages"), threadPane = pane("thread", "Messages of the thread");
const focusThread = () => requestAnimationFrame(() => requestAnimationFrame(() => threadPane.querySelector("textarea").focus()));
threadPane.querySelector(".command").remove(); // no command can be given in a thread
threadPane.querySelector("header").append(h("button", { type: "button", class: "close", "aria-label": "Close the thread", click: closeThread }, "✕"));
threadPane.addEventListener("keydown", (event) => { if (event.key === "Escape") closeThread(); });

function closeThread() {
  go(here().place.id);
  placePane.querySelector("textarea").focus();
}

function attached(form) {
  const names = [...form.elements.files.files].map((file) => file.name);
  form.querySelector(".attached").hidden = !names.length;
  form.querySelector(".attached span").textContent = `With ${names.join(", ")}`;
}

const inBase64 = (file) => new Promise((done, failed) => {
  const reader = new FileReader();
  reader.addEventListener("load", () => done([file.name, reader.result.slice(reader.result.indexOf(",") + 1)]));
  reader.addEventListener("error", () => failed(reader.error));
  reader.readAsDataURL(file);
});

async function send(node, box) {
  const { place, thread } = here(), form = box.form, text = typed(box.value.trim());
  const files = await Promise.all([...form.elements.files.files].map(inBase64));
  if (!text && !files.length) return;
  const channel = place.id, inThread = node === threadPane;
  if (editing?.pane === node) {
    await act("edit", { user: you, channel, ts: editing.ts, text });
    endEdit();
    return;
  }
  const kept = box.value;
  box.value = "";
  try {
    if (!inThread && menu("slash_commands").some((each) => each.command === text.split(" ")[0])) {
      await answered(act("command", { user: you, channel, text }));
      return;
    }
    const ts = await act("say", { user: you, channel, text, thread: inThread ? thread : null, ...(files.length && { files }) });
    form.elements.files.value = "";
    attached(form);
    const isFor = place.kind === "im" || (place.members.includes(bot().id) && text.includes(`<@${bot().id}>`));
    if (!inThread && isFor) { wanted = `${channel}/${ts}`; draw(); }
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
  if (node.where !== where) { log.shown = undefined; log.replaceChildren(); node.where = where; }
  arrange(log, list.map((m) => ({ ...m, sign: `${texts.get(m.key)} ${texts.get("menu")} ${inThread || texts.get(`session ${m.channel} ${m.ts}`)}` })),
    (m) => message(m, inThread));
}

// Shows a list in its order, each item made anew only where its sign changed; stays at the end where it was there.
function arrange(log, list, make) {
  const fresh = !log.shown, shown = log.shown ??= new Map(), keys = new Set(list.map((each) => each.key));
  const atEnd = fresh || log.scrollHeight - log.scrollTop - log.clientHeight < 60;
  for (const [key, { node }] of shown) if (!keys.has(key)) { node.remove(); shown.delete(key); }
  list.forEach((each, n) => {
    const old = shown.get(each.key)?.node;
    if (shown.get(each.key)?.sign !== each.sign) {
      const next = make(each), focused = old?.contains(document.activeElement) && document.activeElement.dataset.act;
      if (old?.querySelector("details[open]")) next.querySelector("details").open = true;
      old?.replaceWith(next);
      if (focused) next.querySelector(`[data-act="${CSS.escape(focused)}"]`)?.focus();
      shown.set(each.key, { sign: each.sign, node: next });
    }
    const { node } = shown.get(each.key);
    if (log.children[n] !== node) log.insertBefore(node, log.children[n] ?? null);
  });
  if (atEnd) log.scrollTop = log.scrollHeight;
}

function draw() {
  if (!bot()) return;
  you = people().some((each) => each.id === you) ? you : people().find((each) => !each.bot_id).id;
  if (wanted && items.has(`message ${wanted.replace("/", " ")}`)) { location.hash = wanted; wanted = undefined; focusThread(); }
  const { place, thread, home } = here(), all = messages(place.id), member = place.members.includes(bot().id);
  drawTop();
  drawModal();
  drawBeneath();
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
  drawTabs(place, home);
  sync(placePane, all.filter((m) => isRoot(m)), false);
  threadPane.hidden = !thread;
  document.body.classList.toggle("threaded", Boolean(thread));
  if (!thread) return;
  threadPane.querySelector("h2").textContent = session(place.id, thread)?.title || "Thread";
  threadPane.querySelector("textarea").placeholder = "Reply in this thread";
  threadPane.querySelector(".about").textContent = `in ${place.kind === "im" ? "your messages with Bobbin" : titleOf(place)}`;
  sync(threadPane, all.filter((m) => m.ts === thread || m.thread_ts === thread), true);
  const busy = working(place.id, thread);
  redraw(threadPane.querySelector(".status"), busy || "", () => [h("span", {}, `Bobbin ${busy}`), stoppable(place.id, thread)
    && button("stop", "Stop", () => act("stop", { user: you, channel: here().place.id, thread_ts: here().thread }))]);
}

// What the app is told: its Home or its messages were opened, and beside which channel.
let opened, lookedAt;
function drawTabs(place, home) {
  const direct = place.kind === "im", view = items.get(`home ${you}`), prompts = !home && items.get(`prompts ${place.id}`);
  const log = placePane.querySelector(".log"), shown = placePane.querySelector(".home"), row = placePane.querySelector(".prompts");
  if (!direct) lookedAt = place.id;
  if (opened !== `${you} ${place.id} ${home}`) {
    opened = `${you} ${place.id} ${home}`;
    if (home) act("open_home", { user: you }); else if (direct) act("open_messages_tab", { user: you, looking_at: lookedAt });
  }
  const tab = (name, label, now) => button(`tab ${name}`, label, () => go(place.id, name), { "aria-pressed": String(now) });
  if (direct) placePane.querySelector(".about").prepend(tab("", "Messages", !home), " ", tab("home", "Home", home), " ");
  [log.hidden, shown.hidden, row.hidden] = [home, !home, !prompts];
  placePane.querySelector("form").hidden = home;
  redraw(shown, home ? view ?? "none" : "", () => (view ? view.blocks.map((each) => block(each, pressIn(view))) : h("p", {}, "Bobbin has put nothing here yet.")));
  redraw(row, prompts || "", () => [h("span", {}, prompts.title || "Try"), ...prompts.prompts.map(({ title, message: text }) =>
    button(`prompt ${title}`, title, () => { const box = placePane.querySelector("textarea"); box.value = text; send(placePane, box); }, { title: text }))]);
}

const pressIn = (view) => (action_id, value) => answered(act("press_view", { user: you, view: view.id, action_id, value }));

// Draws anew only what is not as it was.
function redraw(node, facts, make) {
  const sign = `${you} ${JSON.stringify(facts)}`;
  if (node.dataset.sign === sign) return;
  node.dataset.sign = sign;
  node.replaceChildren(...[facts === "" ? [] : make()].flat(Infinity).filter(Boolean));
}

const dialog = byId("modal");
function drawModal() {
  const view = items.get(`modal ${you}`);
  if (!view) { delete dialog.dataset.sign; if (dialog.open) dialog.close(); return; }
  const close = () => act("dismiss", { user: you, view: view.id });
  dialog.oncancel = (event) => { event.preventDefault(); close(); };
  redraw(dialog, view, () => h("form", { submit: async (event) => {
    event.preventDefault();
    const values = Object.fromEntries([...event.target.querySelectorAll("[name]")].map((box) => [box.name, box.value]));
    const answer = await answered(act("submit", { user: you, view: view.id, values }));
    for (const place of dialog.querySelectorAll(".wrong")) place.textContent = answer?.errors?.[place.dataset.block] ?? "";
  } }, h("h2", {}, view.title.text), view.blocks.map((each) => block(each, pressIn(view))),
  h("p", { class: "actions" }, view.submit && h("button", { type: "submit" }, view.submit.text), button("close", view.close?.text ?? "Close", close))));
  if (!dialog.open) dialog.showModal();
}

function drawPlace(each, n, current) {
  const nav = byId("places"), label = `${MARKS[each.kind]} ${titleOf(each)}`;
  const node = nav.querySelector(`[data-place="${each.id}"]`) ?? h("button", { type: "button", "data-place": each.id, "data-kind": each.kind, click: () => go(each.id) });
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
  byId("model").textContent = model === "bedrock" ? "Claude on the real Bedrock answers" : "a script answers, not Claude";
  byId("real").hidden = model === "bedrock";
  if (byId("you").children.length > 1) return;
  byId("you").append(...people().filter((each) => !each.bot_id).map((each) => h("label", {},
    h("input", { type: "radio", name: "you", value: each.id, checked: each.id === you, change: () => { endEdit(); you = each.id; draw(); } }),
    h("span", {}, each.name, each.guest && h("small", {}, " guest"), each.external && h("small", {}, " other organisation")))));
}

byId("skip").addEventListener("click", () => placePane.querySelector("textarea").focus());
byId("tries").append(...TRIES.map(([text, why, where]) => h("li", {}, h("button", { type: "button", click: () => {
  const node = where && !threadPane.hidden ? threadPane : placePane;
  node.querySelector("textarea").value = text;
  node.querySelector("textarea").focus();
}, title: `${text} (${why})` }, text.replace("@Bobbin ", "")), " ", h("small", {}, why))));
byId("guide").open = innerWidth > 700;

// ---------------------------------------------------------------- what happens beneath

const beneath = byId("beneath"), LANES = { slack: "Slack", bobbin: "Bobbin", bedrock: "Bedrock" };
const TROUBLE = [
  ["kill", "Kill Bobbin", "As kill -9 does. It is started again after a second, and goes on.", "Bobbin is killed, and started again."],
  ["deliver_twice", "Deliver all twice", "Slack sends every event twice, until this is pressed again.", ""],
  ["throttle", "Throttle Bedrock", "Bedrock refuses the next two requests as too many.", "The next two requests are throttled."],
  ["cut", "Cut a stream", "The connection breaks in the next answer, after its first words.", "The next answer's stream breaks after its first words."],
];
const count = (n, one, many = `${one}s`) => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;
const dollars = (sum) => `$${sum.toFixed(sum < 0.1 ? 5 : 2)}`;
const written = (usage) => (usage.cacheDetails ?? []).reduce((sum, each) => sum + each.inputTokens, 0);

function cost(usage) {
  const { prices } = items.get("bobbin");
  const paid = (usage.cacheDetails ?? []).map((each) => each.inputTokens * prices[each.ttl]);
  paid.push((usage.inputTokens ?? 0) * prices.new, (usage.cacheReadInputTokens ?? 0) * prices.read, (usage.outputTokens ?? 0) * prices.output);
  return paid.reduce((sum, each) => sum + each, 0) / 1e6;
}

function look(open) {
  beneath.hidden = !open;
  byId("look").setAttribute("aria-expanded", String(open));
  document.body.classList.toggle("looking", open);
  draw();
}
byId("look").addEventListener("click", () => look(beneath.hidden));
beneath.querySelector(".close").addEventListener("click", () => { look(false); byId("look").focus(); });
byId("trouble").append(...TROUBLE.map(([name, label, title, words]) => button(name, label, async (event) => {
  const pressed = event.currentTarget, on = pressed.getAttribute("aria-pressed") !== "true";
  await act(name, name === "deliver_twice" ? { on } : {});
  if (words) tell(words, true); else pressed.setAttribute("aria-pressed", String(on));
}, { title })));
byId("lanes").append(...Object.entries(LANES).map(([lane, name]) => h("label", { class: lane },
  h("input", { type: "checkbox", value: lane, checked: true, change: () => draw() }), h("span", {}, name))));

const quoted = (text = "") => { const words = untyped(text).replace(/\s+/g, " "); return words && `“${words.length > 60 ? `${words.slice(0, 60)}…` : words}”`; };
const HAPPENED = { message_changed: "a message is changed", message_deleted: "a message is deleted" };

// Slack's side: what it told the app, with the ack of it, and what the app asked of it.
function entries() {
  const told = values("entry").map((each) => ({ ...each, n: Number(each.key.split(" ")[1]) })), acks = new Map(), rows = [];
  for (const each of told) if (each.kind === "ack" && !acks.has(each.envelope_id)) acks.set(each.envelope_id, each);
  for (const each of told) {
    const last = rows.at(-1), row = { key: each.key, at: each.at, n: each.n, lane: "slack", name: each.name, deep: () => whole("entry", each.n) };
    if (each.kind === "ack") continue;
    if (each.kind === "delivery") {
      const { subtype, user, text } = each.event, ack = acks.get(each.envelope_id);
      const took = ack && `acknowledged after ${Math.max(1, Math.round(1000 * (ack.at - each.at)))} ms`;
      rows.push({ ...row, to: "→ Bobbin", words: [HAPPENED[subtype] ?? each.name, user && ` from ${nameOf(user)} `, quoted(text)],
        note: [took ?? "not acknowledged yet", each.attempt > 0 && `, try ${each.attempt + 1}`], bad: !ack, event: each.event_id });
    } else if (each.kind === "call") {
      const bad = each.ok === false;
      if (last?.call === each.name && !bad && !last.bad) { last.times += 1; continue; }
      rows.push({ ...row, to: "← Bobbin", words: [h("code", {}, each.name)], note: [bad ? each.error ?? "refused" : each.ok ? "" : "…"], bad, call: each.name, times: 1 });
    } else rows.push({ ...row, to: "", words: [`${each.kind} ${each.name}`], note: [], bad: each.kind === "undelivered" });
  }
  for (const row of rows) if (row.times > 1) row.note = [`×${row.times}`];
  return rows;
}

// Bobbin's own words: its log. Lines without a time belong to the one before.
const LINE = /^(\S+Z) \[(\w+) *\] (.*?) +\[([\w.]+)\] ?(.*)$/;
function lines() {
  const rows = [];
  for (const [key, line] of [...items].filter(([name]) => name.startsWith("log "))) {
    const [, at, level, words, name, more] = LINE.exec(line) ?? [];
    if (/^Response time/.test(words)) continue; // an ack, seen on Slack's side
    if (at) {
      const all = [line], brief = more.replace(/\b(channel|thread|id|path|seconds)=\S+ ?/g, "").slice(0, 90);
      rows.push({ key, at: Date.parse(at) / 1000, lane: "bobbin", to: "Bobbin", words: [words], note: [brief], bad: level !== "info" && level !== "debug",
        all, deep: () => h("pre", { tabindex: 0 }, all.join("\n").replace(/ (?=\w+=)/g, "\n  ")), name });
    } else rows.at(-1)?.all.push(line);
  }
  return rows;
}

// Bedrock's side: all that it was ever sent.
function requests() {
  return values("asked").map((each) => {
    const n = Number(each.key.split(" ")[1]), { usage, roles } = each, known = Object.keys(usage).length > 0;
    const end = each.ended ? each.fault ? `broken on purpose: ${each.fault}` : each.ended === "completed" ? "" : each.ended.replace("_", " ") : "answering…";
    const turns = roles.filter((role) => role === "user").length;
    return { key: each.key, at: each.at, lane: "bedrock", to: "Bobbin → Bedrock", bad: each.ended && each.ended !== "completed",
      words: [`request ${n + 1}: `, h("span", { class: "dots", role: "img", "aria-label": `${count(roles.length, "message")} by ${roles.join(", ")}` },
        roles.slice(-24).map((role) => h("i", { class: role })))],
      note: [`sent ${count(roles.length, "message")}, ${count(turns, "turn")}`, each.marks > 0 && `, ${count(each.marks, "cache mark")}`,
        known && `; ${count((usage.totalTokens ?? 0), "token")}, ${dollars(cost(usage))}`, end && `; ${end}`, each.ended && "; Bedrock kept nothing"],
      deep: () => request(n) };
  });
}

async function whole(kind, n) {
  const answer = await fetch(`/beneath/${kind}/${n}`), [facts] = await answer.json();
  if (kind === "asked") return facts;
  const short = (_, value) => (typeof value === "string" && value.length > 600 ? `${value.slice(0, 600)}…` : value);
  return h("pre", { tabindex: 0 }, JSON.stringify(facts.result ? { asked: facts.data, answered: facts.result } : facts.data, short, 1));
}

// A request as the model gets it: who it is, then the whole thread in two roles, and where the cache ends.
async function request(n) {
  const { body, answer, sent, model_id, usage } = { ...await whole("asked", n), ...items.get(`asked ${n}`) };
  const part = (content) => {
    if (content.cachePoint) return h("p", { class: "mark" }, `cache mark: kept ${{ "1h": "1 hour", undefined: "5 minutes" }[content.cachePoint.ttl] ?? "5 minutes"}, to be cheaper`);
    const [kind, value] = Object.entries(content)[0];
    return h("p", {}, kind === "text" ? value : `[${kind} ${value.name ?? ""} ${value.format ?? ""}]`);
  };
  const said = (role, content) => h("div", { class: `said-by ${role}` }, h("b", {}, role), content.map(part));
  const tokens = [["inputTokens", "new"], ["cacheReadInputTokens", "read from the cache"], ["outputTokens", "written by the model"]]
    .map(([name, label]) => usage[name] > 0 && h("tr", {}, h("th", { scope: "row" }, label), h("td", { class: "right" }, usage[name].toLocaleString("en"))));
  return h("div", {}, h("p", {}, h("code", {}, model_id)),
    body.system && h("details", {}, h("summary", {}, "system: the same each time"), said("system", body.system)),
    body.messages.map((each) => said(each.role, each.content)),
    (sent || answer) && h("div", { class: "said-by answer" }, h("b", {}, "its answer"), h("p", {}, sent || answer)),
    h("table", {}, tokens, written(usage) > 0 && h("tr", {}, h("th", { scope: "row" }, "kept in the cache"), h("td", { class: "right" }, written(usage).toLocaleString("en")))));
}

function happened(each) {
  const deep = h("div", { class: "deep" });
  const open = async (event) => { if (event.target.open && event.target.parentNode === node && !deep.firstChild) deep.replaceChildren(await each.deep()); };
  const node = h("li", { class: `${each.lane}${each.bad ? " bad" : ""}` }, h("details", { toggle: open },
    h("summary", { "data-act": "open" }, h("time", {}, new Date(each.at * 1000).toLocaleTimeString("en-GB")), h("span", {}, h("b", {}, each.to), " ", each.words, " ", h("small", {}, each.note))),
    each.event && button("again", "Deliver it again", () => act("deliver_again", { event_id: each.event })), deep));
  return node;
}

function drawBeneath() {
  if (beneath.hidden || !items.has("bobbin")) return;
  const { model, pid, ends, log } = items.get("bobbin"), asked = values("asked");
  const sizes = asked.map((each) => each.roles.length), spent = asked.reduce((sum, each) => sum + cost(each.usage), 0);
  for (const name of ["throttle", "cut"]) byId("trouble").querySelector(`[data-act=${name}]`).hidden = model === "bedrock";
  redraw(byId("sums"), [pid, ends.length, sizes, spent, model], () => [
    h("p", { class: "bobbin" }, h("b", {}, "Bobbin remembers. "), "Every thread is on disk, in ", h("code", { title: log.replace(/\.log$/, ".db") }, "bobbin.db"),
      `. It runs as process ${pid}${ends.length ? `, after ${count(ends.length, "death")}` : ""}.`),
    h("p", { class: "bedrock" }, h("b", {}, "Bedrock forgets. "), model === "bedrock" ? "The real one is asked: what it is sent is not seen here."
      : !sizes.length ? "It was asked nothing yet." : `Last sent ${count(sizes.at(-1), "message")}, ${count(Math.ceil(sizes.at(-1) / 2), "turn")}: ${sizes.at(-1) > 1 ? "the whole thread again" : "all that there was"}. It kept nothing. ${
        count(sizes.length, "request")} so far; Claude's price: ${dollars(spent)}.`)]);
  const shown = new Set([...byId("lanes").querySelectorAll(":checked")].map((each) => each.value));
  const rows = [...entries(), ...lines(), ...requests()].filter((each) => shown.has(each.lane)).sort((a, b) => a.at - b.at);
  arrange(byId("line"), rows.map((each) => ({ ...each, sign: `${[...each.words, ...each.note].map((part) => part?.outerHTML ?? part)}` })), happened);
}
if (innerWidth >= 1200) look(true);

// ---------------------------------------------------------------- news

let drawing;
const soon = () => { drawing ??= setTimeout(() => { drawing = undefined; draw(); }, 16); };
addEventListener("hashchange", () => { endEdit(); draw(); });
history.replaceState(null, "", `/${location.hash}`); // the token stays out of sight, and out of the history
const news = new EventSource("/events");
news.addEventListener("open", () => { items.clear(); texts.clear(); byId("problem").hidden = true; act("deliver_twice", { on: false }); });
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
