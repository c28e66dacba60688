/** Service worker: keeps the files of one version, so that the page opens without the server. */

const FILES = []; // the server writes the names of all files of this version here
const HERE = new URL(".", location.href).href; // web/VERSION/
const PAGE = new URL("../../", HERE).href;
const PREFIX = "stt-page ";
const CACHE = PREFIX + HERE;

addEventListener("install", (event) => {
  const urls = [PAGE, ...FILES.map((name) => HERE + name)];
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(urls)).then(() => self.skipWaiting()));
});

addEventListener("activate", (event) => event.waitUntil(deleteOldVersions().then(() => self.clients.claim())));

addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET") return;
  if (request.url.startsWith(HERE)) event.respondWith(fromCache(request));
  else if (request.mode === "navigate" && request.url.split(/[?#]/)[0] === PAGE)
    event.respondWith(fetch(request).catch(() => caches.match(PAGE, { ignoreVary: true })));
});

async function fromCache(request) {
  // Requests of modules have an Origin, by which responses vary; the content is the same.
  return (await caches.match(request, { ignoreVary: true })) ?? fetch(request);
}

async function deleteOldVersions() {
  const names = await caches.keys();
  await Promise.all(names.filter((name) => name.startsWith(PREFIX) && name !== CACHE).map((name) => caches.delete(name)));
}
