// Runs in every frame before the page's own scripts, and reports what the frame shows of a chat box: shallow copies of
// the boxes' elements, in the document and in shadow roots, and the plugin's script globals. It only reads. The one
// function that it wraps is attachShadow, to find closed shadow roots.
//
// The script shares the page's globals and prototypes, and a page may redefine each of them: an old library gives
// arrays a toJSON, another page replaces querySelectorAll or ends every timer. So the script takes all functions here,
// before the page runs. Later it uses literals, operators, indexes and calls of these constants, which no page can
// change: no methods, no for...of, no objects with a prototype.
(() => {
  const report = globalThis.BINDING;
  if (typeof report !== "function") return;
  delete globalThis.BINDING;

  const BOXES =
    "div.wpaicg-chat-shortcode, div.wpaicg-chatbox, div.aipkit_chat_container, div.aipkit_popup_wrapper";
  const MARKS =
    'link[rel="EditURI"], link[rel="https://api.w.org/"], script[src*="/wp-includes/"], link[href*="/wp-includes/"],' +
    ' script[src*="/wp-content/plugins/gpt3-ai-content-generator"],' +
    ' link[href*="/wp-content/plugins/gpt3-ai-content-generator"], script[src*="embed-bootstrap"]';
  const GLOBAL = /^(?:wpaicg|aipkit)\w{0,60}$/i;
  const HTTP = /^https?:/;
  const MOST_BOXES = 100, MOST_MARKS = 20, MOST_ROOTS = 500, MOST_GLOBALS = 20, MOST_CHARACTERS = 200000;
  const MANY = 20000; // characters; a box has some thousands
  const ATTRIBUTES = ["class", "data-nonce", "data-config", "data-bot-id", "data-post-id", "data-type", "data-url"];

  const free = Function.prototype.bind.bind(Function.prototype.call); // free(f)(self, ...) is f.call(self, ...)
  const getter = (of, name) => free(Object.getOwnPropertyDescriptor(of.prototype, name).get);
  const keysOf = Object.keys, toJson = JSON.stringify, Observer = MutationObserver;
  const findInDocument = free(Document.prototype.querySelectorAll);
  const findInRoot = free(DocumentFragment.prototype.querySelectorAll);
  const findIn = free(Element.prototype.querySelector), matches = free(Element.prototype.matches);
  const clone = free(Node.prototype.cloneNode), typeOf = getter(Node, "nodeType");
  const markupOf = getter(Element, "outerHTML"), rootOf = getter(Element, "shadowRoot");
  const lengthOf = getter(NodeList, "length"), stateOf = getter(Document, "readyState");
  const changeOf = getter(MutationRecord, "type"), changed = getter(MutationRecord, "target");
  const added = getter(MutationRecord, "addedNodes"), observe = free(Observer.prototype.observe);
  const test = free(RegExp.prototype.exec), listen = free(EventTarget.prototype.addEventListener);
  const has = free(WeakSet.prototype.has), add = free(WeakSet.prototype.add);
  const attachShadow = free(Element.prototype.attachShadow);
  const post = free(scheduler.postTask), tasks = scheduler; // unlike a timer it has no number to be ended by
  const later = (work, delay) => { post(tasks, work, { __proto__: null, delay }); };
  const page = document, parents = location.ancestorOrigins, isMain = top === globalThis;
  let parent = "";
  for (let i = 0; i < parents.length && !parent; i++) if (test(HTTP, parents[i])) parent = parents[i];

  const known = new WeakSet(), roots = { __proto__: null };
  let count = 0, isDue = false, last = "", scripted = false;

  const read = () => {
    let html = "", size = 0;
    const copy = (found, most) => {
      for (let i = 0, end = lengthOf(found); i < end && i < most; i++) {
        const text = markupOf(clone(found[i], false));
        if ((size += text.length) < MOST_CHARACTERS) html += text + "\n";
      }
    };
    copy(findInDocument(page, MARKS), MOST_MARKS);
    copy(findInDocument(page, BOXES), MOST_BOXES);
    for (let i = 0; i < count; i++) copy(findInRoot(roots[i], BOXES), MOST_BOXES);
    const globals = { __proto__: null };
    const take = (name, value) => {
      if (value === null || typeof value !== "object") return;
      const members = { __proto__: null }, keys = keysOf(value);
      for (let i = 0; i < keys.length && i < 100; i++) {
        const member = value[keys[i]];
        if (typeof member === "string" && member.length < 2000 && (size += member.length) < MOST_CHARACTERS)
          members[keys[i]] = member;
      }
      globals[name] = members;
    };
    const names = keysOf(globalThis);
    for (let i = 0, most = MOST_GLOBALS; i < names.length && most; i++) {
      if (!test(GLOBAL, names[i])) continue;
      most--;
      try { take(names[i], globalThis[names[i]]); } catch { /* a getter of the page's own */ }
    }
    try { take("wpaicgParams", wpaicgParams); } catch { /* not there, not even as a const */ }
    return toJson({ __proto__: null, html, globals, scripted, state: stateOf(page) });
  };
  const reportChange = () => {
    const state = read();
    if (state === last) return;
    last = state;
    const url = test(HTTP, location.href) ? location.href : "";
    report((isMain ? "1" : "0") + "\n" + url + "\n" + parent + "\n" + state);
  };
  const reportSoon = () => {
    if (isDue) return;
    isDue = true;
    later(() => { isDue = false; reportChange(); }, last.length > MANY ? 100 : 10);
  };

  const showsBox = (nodes) => {
    for (let i = 0, end = lengthOf(nodes); i < end; i++)
      if (typeOf(nodes[i]) === 1 && (matches(nodes[i], BOXES) || findIn(nodes[i], BOXES))) return true;
    return false;
  };
  const watch = (root) => {
    if (count >= MOST_ROOTS || has(known, root)) return;
    add(known, root);
    if (root !== page) roots[count++] = root;
    const observer = new Observer((changes) => {
      // The parser adds elements while the document loads. Every other change of a box is a script's work.
      for (let i = 0; i < changes.length && !scripted; i++) {
        if (changeOf(changes[i]) === "attributes") scripted = matches(changed(changes[i]), BOXES);
        else if (stateOf(page) !== "loading" || root !== page) scripted = showsBox(added(changes[i]));
      }
      reportSoon();
    });
    const what = { __proto__: null, subtree: true, childList: true, attributes: true, attributeFilter: ATTRIBUTES };
    try { observe(observer, root, what); } catch { /* the page took the iteration of arrays away */ }
    reportSoon();
  };
  Element.prototype.attachShadow = function (options) {
    const root = attachShadow(this, options);
    watch(root);
    return root;
  };
  // Shadow roots that markup declares are attached by no call; open ones can be found.
  const watchDeclared = () => {
    const all = findInDocument(page, "*");
    for (let i = 0, end = lengthOf(all); i < end; i++) {
      const root = rootOf(all[i]);
      if (root) watch(root);
    }
  };

  const changeState = () => { watchDeclared(); reportChange(); };
  const listenAgain = () => { // repeatedly, since document.open() removes the listeners
    listen(page, "readystatechange", changeState);
    listen(globalThis, "load", reportChange);
  };
  // Script globals change without a mutation.
  const tick = () => { later(tick, 250); listenAgain(); watchDeclared(); reportChange(); };
  let quick = 0;
  const tickQuickly = () => { if (quick++ < 60) later(tickQuickly, 25); reportChange(); };

  listenAgain();
  watch(page);
  later(tick, 250);
  later(tickQuickly, 25);
})();
