// Runs in every frame before the page's own scripts and tells what the frame shows of a chat box: shallow copies of
// the boxes' elements, in the document and in shadow roots, and the plugin's script globals. It reads, and changes
// nothing that a page could see: the one function it wraps, attachShadow, is how it learns of closed roots.
(() => {
  const BOXES =
    "div.wpaicg-chat-shortcode, div.wpaicg-chatbox, div.aipkit_chat_container, div.aipkit_popup_wrapper";
  const MARKS =
    'link[rel="EditURI"], link[rel="https://api.w.org/"], script[src*="/wp-content/plugins/gpt3-ai-content-generator/"],' +
    ' link[href*="/wp-content/plugins/gpt3-ai-content-generator/"], script[src*="/wp-includes/"]';
  const GLOBAL = /^(?:wpaicg|aipkit)\w{0,60}$/i;
  const MOST_BOXES = 100, MOST_ROOTS = 500, MOST_CHARACTERS = 200000;
  const ATTRIBUTES = ["class", "data-nonce", "data-config", "data-bot-id", "data-post-id", "data-type", "data-url"];

  const tell = globalThis.BINDING;
  if (typeof tell !== "function") return;
  delete globalThis.BINDING;

  const roots = new Set();
  let due = 0, last = "", scripted = false;

  const look = () => {
    due = 0;
    let html = "";
    const copy = (element) => {
      const text = element.cloneNode(false).outerHTML;
      if (html.length + text.length < MOST_CHARACTERS) html += text + "\n";
    };
    let marks = 0;
    for (const mark of document.querySelectorAll(MARKS)) if (marks++ < 20) copy(mark);
    let boxes = 0;
    for (const root of [document, ...roots])
      for (const box of root.querySelectorAll(BOXES)) if (boxes++ < MOST_BOXES) copy(box);
    const globals = {};
    const take = (name, value) => {
      if (value === null || typeof value !== "object") return;
      const members = {};
      for (const key of Object.keys(value).slice(0, 100))
        if (typeof value[key] === "string" && value[key].length < 2000) members[key] = value[key];
      globals[name] = members;
    };
    for (const name of Object.keys(globalThis)) {
      if (!GLOBAL.test(name)) continue;
      try { take(name, globalThis[name]); } catch { /* a getter of the page's own */ }
    }
    try { take("wpaicgParams", wpaicgParams); } catch { /* not there, not even as a const */ }
    const seen = JSON.stringify({ html, globals, scripted, state: document.readyState });
    if (seen === last) return;
    last = seen;
    tell(seen);
  };
  const soon = () => { if (!due) due = setTimeout(look, 10); };

  const watch = (root) => {
    if (roots.size >= MOST_ROOTS || roots.has(root)) return;
    if (root !== document) roots.add(root);
    new MutationObserver((changes) => {
      // The parser adds elements while the document loads; whatever else happens to a box is a script's work.
      for (const change of scripted ? [] : changes) {
        if (change.type === "attributes") scripted = change.target.matches(BOXES);
        else if (document.readyState !== "loading" || root !== document)
          scripted = [...change.addedNodes].some((node) => node.matches?.(BOXES) || node.querySelector?.(BOXES));
        if (scripted) break;
      }
      soon();
    }).observe(root, {
      subtree: true, childList: true, attributes: true, attributeFilter: ATTRIBUTES,
    });
    soon();
  };
  const attachShadow = Element.prototype.attachShadow;
  Element.prototype.attachShadow = function (options) {
    const root = attachShadow.call(this, options);
    watch(root);
    return root;
  };
  // Shadow roots that markup declares are attached by no call; open ones can be found.
  const declared = () => {
    for (const element of document.querySelectorAll("*")) if (element.shadowRoot) watch(element.shadowRoot);
  };

  watch(document);
  document.addEventListener("readystatechange", () => { declared(); look(); });
  addEventListener("load", look);
  setInterval(() => { declared(); look(); }, 250); // script globals change without a mutation
  let quick = 0;
  const first = setInterval(() => { look(); if (++quick > 60) clearInterval(first); }, 25);
})();
