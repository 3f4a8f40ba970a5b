// Elements. Text enters the document as text alone: nothing here or elsewhere makes markup of a string.

/** An element with these properties (attributes, where the name has a dash) and children. */
export function make(tag, properties = {}, ...children) {
	const element = document.createElement(tag);
	// Before the properties: where `dir` is auto, the browser reads all the text anew at each change of the children.
	element.append(...children);
	for (const [name, value] of Object.entries(properties)) {
		if (name.includes("-") || name === "role") element.setAttribute(name, value);
		else element[name] = value;
	}
	return element;
}

/** What has an id, by it. */
export const ui = Object.fromEntries([...document.querySelectorAll("[id]")].map((element) => [element.id, element]));
