// Markdown to elements: what models write of CommonMark, and GitHub's tables. Raw HTML stays text, an image becomes a link,
// and a link leads to the web, to mail or nowhere.
//
// Deliberate: spans and nesting are bounded, so that no text takes more than linear time; headings have one level, below
// that of the message.

import { make } from "./dom.js";

const MAX_DEPTH = 8;
const INLINE = new RegExp(
	[
		/\\(?<escaped>[!-/:-@[-`{-~])/,
		/(?<!`)(?<ticks>`{1,9})(?!`)(?<code>[^]{1,2000}?)(?<!`)\k<ticks>(?!`)/,
		/!?\[(?<label>(?:[^[\]\\]|\\.){0,500})\]\(\s*<?(?<target>(?:[^\s<>()]|\([^\s<>()]{0,500}\)){1,2000})>?(?:\s+"[^"]{0,500}")?\s*\)/,
		/\b(?<bare>https?:\/\/[^\s<>"'`]{0,2000}[^\s<>"'`.,:;!?)\]}*_~|])/,
		/(?<mark>\*\*|__|~~|\*|(?<![\p{L}\p{N}])_)(?=\S)(?<inner>[^]{0,2000}?[^\s\\])\k<mark>(?:(?<=\*)(?!\*)|(?<=_)(?![\p{L}\p{N}])|(?<=~))/,
		/(?: {2,}|\\)\n/,
	].map((part) => part.source).join("|"),
	"gu",
);
const MARKS = { "**": "strong", __: "strong", "~~": "del", "*": "em", _: "em" };

/** A text that grows, in an element; what of it can no longer change is left alone. */
export class GrowingText {
	#settled = 0; // characters whose elements stay
	#open = [];

	constructor(element) {
		this.element = element;
	}

	/** Show a text that begins with the one before. */
	show(text) {
		const lines = text.slice(this.#settled).split("\n");
		const found = [...blocks(lines)];
		redraw(this.element, this.#open, found);
		// A block ends where the next one begins, which takes up to two whole lines to tell.
		const from = found.findLast((each) => each.at + 2 < lines.length)?.at ?? 0;
		this.#open = found.filter((each) => each.at >= from);
		this.#settled += lines.slice(0, from).reduce((sum, line) => sum + line.length + 1, 0);
	}
}

/** What a block is, with the `text`, the `code` or the `children` in it. */
const block = (tag, properties, content) => ({ tag, properties, kind: tag + Object.values(properties), ...content });
const AUTO = { dir: "auto" };

/** Make the last elements of a parent, which are those of the blocks `before`, those of `after`: what is the same stays. */
function redraw(parent, before, after) {
	after.forEach((each, index) => {
		const old = before[index];
		if (!old) parent.append(drawn(each));
		else if (old.kind !== each.kind || old.text !== each.text) old.element.replaceWith(drawn(each));
		else grown(old, each);
	});
	for (const { element } of before.slice(after.length)) element.remove();
}

/** What has grown inside a block grows in its element. */
function grown(old, block) {
	block.element = old.element;
	if (block.children) redraw(block.element, old.children, block.children);
	if (block.code !== old.code) block.element.querySelector("code").textContent = block.code;
}

function drawn(block) {
	const { tag, properties, text, code, children } = block;
	const content = code !== undefined ? listing(code, properties["data-language"]) : (children?.map(drawn) ?? inline(text));
	return (block.element = make(tag, properties, ...content));
}

function listing(code, language) {
	const words = make("code", {}, code);
	const copy = make("button", { textContent: "Copy", ariaLabel: "Copy code", hidden: !navigator.clipboard });
	copy.onclick = () => navigator.clipboard.writeText(words.textContent).then(() => (copy.textContent = copy.ariaLabel = "Copied"));
	return [make("div", {}, make("span", {}, language), copy), make("pre", { tabIndex: 0 }, words)];
}

/** Every block, with the line at which it begins. */
function* blocks(lines, depth = 0) {
	for (let at = 0; at < lines.length; ) {
		if (!lines[at].trim()) {
			at++;
			continue;
		}
		const read = (depth < MAX_DEPTH && kindAt(lines, at)) || paragraph;
		const [next, found] = read(lines, at, depth);
		yield { ...found, at };
		at = next;
	}
}

const nested = (lines, depth) => [...blocks(lines, depth + 1)];

const FENCE = /^ {0,3}(`{3,}(?=[^`]*$)|~{3,})\s*([^\s`]*)/;
const HEADING = /^ {0,3}(#{1,6})(?:\s+(.*?))?(?:\s+#+)?\s*$/;
const RULE = /^ {0,3}([-*_])\s*(?:\1\s*){2,}$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^ {0,3}([-*+]|\d{1,9}[.)])(?:\s+|$)/;
const DELIMITER = /^\s*\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*$/;

const isTable = (lines, at) =>
	lines[at].includes("|") && DELIMITER.test(lines[at + 1] ?? "") && cells(lines[at]).length === cells(lines[at + 1]).length;

/** What reads the block at a line; each returns the line behind it, and the block. Undefined for a paragraph's line. */
const kindAt = (lines, at) =>
	[[FENCE, fence], [HEADING, heading], [RULE, rule], [QUOTE, quote], [ITEM, list]].find(([form]) => form.test(lines[at]))?.[1] ??
	(isTable(lines, at) ? table : undefined);

function fence(lines, at) {
	const [, mark, language] = FENCE.exec(lines[at]);
	const indent = lines[at].search(/\S/);
	const closes = (line) => line.trim().startsWith(mark) && !line.trim().replaceAll(mark[0], "");
	let end = at + 1;
	while (end < lines.length && !closes(lines[end])) end++;
	const code = lines.slice(at + 1, end).map((line) => line.slice(Math.min(indent, line.search(/\S|$/)))).join("\n");
	return [end + 1, block("div", { className: "code", "data-language": language }, { code })];
}

function heading(lines, at) {
	const [, marks, text = ""] = HEADING.exec(lines[at]);
	return [at + 1, block("h3", { ...AUTO, "data-level": marks.length }, { text })];
}

const rule = (lines, at) => [at + 1, block("hr", {}, { children: [] })];

function quote(lines, at, depth) {
	let end = at;
	while (end < lines.length && QUOTE.test(lines[end])) end++;
	const children = nested(lines.slice(at, end).map((line) => line.replace(QUOTE, "")), depth);
	return [end, block("blockquote", AUTO, { children })];
}

function list(lines, at, depth) {
	const kind = (line) => ITEM.exec(line)?.[1].at(-1);
	const first = kind(lines[at]);
	const number = parseInt(lines[at], 10);
	const children = [];
	while (at < lines.length && kind(lines[at]) === first && kindAt(lines, at) === list) {
		const end = itemEnd(lines, at);
		const width = ITEM.exec(lines[at])[0].length;
		const rest = lines.slice(at + 1, end).map((line) => line.slice(Math.min(width, line.search(/\S|$/))));
		children.push(block("li", {}, { children: nested([lines[at].slice(width), ...rest], depth) }));
		at = end;
	}
	return [at, number >= 0 ? block("ol", { ...AUTO, start: number }, { children }) : block("ul", AUTO, { children })];
}

/** Behind a list's item, and behind the blank lines before another one: its lines are indented, or go on with its text. */
function itemEnd(lines, at) {
	let end = at + 1;
	for (let next = end; next < lines.length; next++) {
		const line = lines[next];
		if (!line.trim()) continue;
		const goesOn = /^(?: {2}|\t)/.test(line) || (next === end && !kindAt(lines, next));
		if (!goesOn) return ITEM.test(line) ? next : end;
		end = next + 1;
	}
	return end;
}

function table(lines, at) {
	const width = cells(lines[at]).length;
	const row = (line, tag) => {
		const texts = [...cells(line), ...Array(width).fill("")].slice(0, width);
		return block("tr", {}, { children: texts.map((text) => block(tag, AUTO, { text })) });
	};
	let end = at + 2;
	while (end < lines.length && lines[end].includes("|")) end++;
	const head = block("thead", {}, { children: [row(lines[at], "th")] });
	const body = block("tbody", {}, { children: lines.slice(at + 2, end).map((line) => row(line, "td")) });
	const whole = block("table", {}, { children: [head, body] });
	return [end, block("div", { className: "wide", tabIndex: 0, role: "group", ariaLabel: "Table" }, { children: [whole] })];
}

const cells = (line) => line.trim().replace(/^\||(?<!\\)\|$/g, "").split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll("\\|", "|"));

function paragraph(lines, at) {
	let end = at + 1;
	while (end < lines.length && lines[end].trim() && !kindAt(lines, end)) end++;
	return [end, block("p", AUTO, { text: lines.slice(at, end).join("\n").trim() })];
}

/** Text with its spans, as nodes. */
function inline(text) {
	const nodes = [];
	let done = 0;
	for (const match of text.matchAll(INLINE)) {
		nodes.push(text.slice(done, match.index), span(match[0], match.groups));
		done = match.index + match[0].length;
	}
	return [...nodes, text.slice(done)];
}

function span(source, { escaped, code, label, target, bare, mark, inner }) {
	if (escaped) return escaped;
	if (code) return make("code", {}, code.trim() || code);
	if (mark) return make(MARKS[mark], {}, ...inline(inner));
	const address = target ?? bare;
	return address ? link(address, label || address, source) : make("br");
}

/** A link that shows where it leads; the source as text for an address that is none of the web or of mail. */
function link(address, label, source) {
	const url = URL.canParse(address) ? new URL(address) : {};
	if (!["http:", "https:", "mailto:"].includes(url.protocol)) return source;
	const anchor = make("a", { href: url.href, title: url.href, target: "_blank", rel: "noopener noreferrer" }, label);
	const shown = [url.host, url.pathname].includes(label) || `${label}/`.startsWith(`${url.origin}/`);
	if (!shown) anchor.append(make("small", { dir: "ltr" }, ` (${url.host || url.pathname})`));
	return anchor;
}
