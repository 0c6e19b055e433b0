// Live progress: server-sent events on a result's page, polling of single results in the list.
const numbers = new Intl.NumberFormat("en-US");
const POLL_MS = 1000;
const AGAIN_MS = 3000;

/** Put the current server-rendered version of a part of this page in place of the old one. */
export async function refresh(selector, after) {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (!answer.ok) throw new Error(`the page answered ${answer.status}`);
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  const old = document.querySelector(selector);
  const picked = [...old.querySelectorAll(".pick input:checked")].map((box) => box.value);
  const focused = old.contains(document.activeElement) && document.activeElement.getAttribute("href");
  old.replaceWith(document.adoptNode(fresh.querySelector(selector)));
  document.title = fresh.title;
  for (const box of document.querySelectorAll(`${selector} .pick input`)) box.checked = picked.includes(box.value);
  if (focused) document.querySelector(`${selector} a[href="${CSS.escape(focused)}"]`)?.focus();
  after();
}

function show(place, state) {
  const bar = place.querySelector("[data-progress]");
  if (bar) bar.value = state.progress;
  const line = place.querySelector("[data-working]");
  if (line && state.status === "PROCESSING") line.textContent = `${numbers.format(state.rows_read)} incidents read, ${state.progress}% done.`;
  const rows = place.querySelector("[data-rows]");
  if (rows && state.rows_read) rows.textContent = numbers.format(state.rows_read);
}

/** Tell screen readers that the page has changed; the progress bar moves too often to be read out. */
function announce() {
  document.querySelector("[data-announce]").textContent = document.title;
}

/** The page of one result: events until it is final, then the finished page. */
export function followResult(after) {
  const head = document.querySelector("[data-events]");
  if (!head) return;
  const main = document.getElementById("main");
  let known = head.querySelector("[data-status]").dataset.status;
  const source = new EventSource(head.dataset.events);
  const renew = () => refresh("#main", after).then(announce, () => setTimeout(renew, AGAIN_MS));
  source.addEventListener("progress", (event) => {
    const state = JSON.parse(event.data);
    show(main, state);
    if (state.status === "COMPLETED" || state.status === "FAILED") {
      source.close();
      renew();
    } else if (state.status !== known) {
      known = state.status;
      source.close();
      refresh("#main", () => { after(); followResult(after); }).catch(() => setTimeout(() => followResult(after), AGAIN_MS));
    }
  });
  source.addEventListener("gone", () => {
    source.close();
    location.assign("/");
  });
  source.addEventListener("error", () => {
    // A refused connection ends an EventSource for good: the result is gone, or (the table is away) we try again.
    if (source.readyState === EventSource.CLOSED) setTimeout(() => leaveOrFollow(after), AGAIN_MS);
  });
}

async function leaveOrFollow(after) {
  const answer = await fetch(location.href).catch(() => null);
  if (answer?.status === 404) location.assign("/");
  else followResult(after);
}

/** Ask for a row's result; true when it is in another state than shown, or gone. */
async function hasMoved(row) {
  const answer = await fetch(row.dataset.follow);
  if (!answer.ok) return answer.status === 404;
  const state = await answer.json();
  show(row, state);
  return row.querySelector("[data-status]").dataset.status !== state.status;
}

/** The list: asks for each unfinished result by its key, which is cheap; reads the list again when one is final. */
export function followList(after) {
  if (!document.querySelector("[data-results]")) return;
  let asking = false;
  const look = async () => {
    const rows = [...document.querySelectorAll("[data-follow]")];
    if (asking || !rows.length || document.hidden) return;
    asking = true;
    try {
      const moved = await Promise.all(rows.map(hasMoved));
      if (moved.includes(true)) await refresh("#results", after);
    } catch {
      // the server is away: the next look will tell
    } finally {
      asking = false;
    }
  };
  setInterval(look, POLL_MS);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) refresh("#results", after).catch(() => {});
  });
}
