// Reads what the browser made of each text as a list of nodes, and leaves all lists in the page, encoded.
const BLOCKS = new Set(["P", "H1", "H2", "H3", "H4", "H5", "H6", "UL", "OL", "LI", "TABLE", "THEAD", "TBODY", "TR", "TH", "TD", "PRE", "BLOCKQUOTE", "HR", "DIV"]);
const MARKS = { STRONG: "b", EM: "i", CODE: "c", S: "s", A: "a" };
const isBlock = (node) => node.nodeType === Node.ELEMENT_NODE && BLOCKS.has(node.tagName);

// Writes the text of nodes as it is shown: other blanks than no-break spaces collapse unless the text is preformatted.
function inline(nodes, isPreformatted) {
    return nodes.map((node) => {
        if (node.nodeType === Node.TEXT_NODE) {
            return isPreformatted ? node.data : node.data.replace(/[ \t\r\n\f]+/g, " ");
        }
        const inner = inline([...node.childNodes], isPreformatted);
        if (node.tagName === "BR") return "\n";
        if (isPreformatted && node.tagName === "CODE") return inner;
        if (!(node.tagName in MARKS)) return `⟦unexpected ${node.tagName} ${inner}⟧`;
        const address = node.tagName === "A" ? ` ${node.getAttribute("href")}` : "";
        return `⟦${MARKS[node.tagName]}${address} ${inner}⟧`;
    }).join("");
}

// The marks are removed to compare a text with what is visible.
const bare = (text) => text.replace(/⟦a \S+ /g, "").replace(/⟦[a-z] /g, "").replace(/⟧/g, "");
const indent = (depth) => "  ".repeat(Math.max(depth - 1, 0));
const escaped = (text) => text.replace(/\n/g, "↵").replace(/\t/g, "→").replace(/\u00a0/g, "␣");

function nodes(element, depth, lines) {
    let run = [];
    const flush = (name, owner) => {
        const isPreformatted = name === "pre";
        const written = inline(run, isPreformatted);
        const text = isPreformatted ? written : written.replace(/ *\n */g, "\n").replace(/^ | $/g, "");
        run = [];
        if (text === "" && name !== "td" && name !== "th") return false;
        lines.push(`${indent(depth)}${name} "${escaped(text)}"`);
        const isWhole = owner && [...owner.children].every((child) => !isBlock(child));
        const seen = isWhole ? owner.innerText.replace(/\n$/, "") : null;
        if (seen !== null && seen !== bare(text)) lines.push(`visible "${escaped(seen)}"`);
        return true;
    };
    const name = element.tagName.toLowerCase();
    const first = element.getAttribute("start");
    const isLeaf = !["ul", "ol", "table", "thead", "tbody", "tr", "blockquote", "hr", "div"].includes(name);
    if (!isLeaf && !["thead", "tbody", "div"].includes(name)) {
        lines.push(indent(depth) + name + (first === null ? "" : ` ${first}`));
    }
    let isNamed = !isLeaf;
    const isTransparent = ["thead", "tbody"].includes(name);
    for (const child of element.childNodes) {
        if (!isBlock(child)) {
            run.push(child);
            continue;
        }
        if (run.length && flush(isNamed ? "text" : name, element)) isNamed = true;
        if (!isNamed) {
            lines.push(indent(depth) + name);
            isNamed = true;
        }
        nodes(child, isTransparent ? depth : depth + 1, lines);
    }
    if (run.length || !isNamed) flush(isNamed ? "text" : name, element);
}

const found = {};
for (const shown of document.querySelectorAll("section > div")) {
    const lines = [];
    nodes(shown, 0, lines);
    found[shown.id] = lines.join("\n");
}
document.body.dataset.found = encodeURIComponent(JSON.stringify(found));
