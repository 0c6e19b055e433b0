// Uploads by drag-and-drop or file picker, with progress, canceling and the server's own message on failure.
import { refresh } from "./live.js";

export function uploads(after) {
  const form = document.querySelector("[data-upload]");
  if (!form) return;
  const input = form.querySelector("input[type=file]");
  const list = document.querySelector("[data-uploads]");

  const take = async (files) => {
    const chosen = [...files];
    const answers = await Promise.all(chosen.map((file) => send(file, list, Number(form.dataset.maxBytes))));
    input.value = "";
    const accepted = answers.filter(Boolean);
    if (chosen.length === 1 && accepted.length === 1) location.assign(accepted[0].page_url);
    else if (accepted.length) refresh("#results", after).catch(() => location.reload());
  };

  input.addEventListener("change", () => input.files.length && take(input.files));
  form.addEventListener("submit", (event) => event.preventDefault());

  // The whole window takes the file: a near miss must not make the browser open it.
  let depth = 0;
  const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
  const mark = (change) => {
    depth = Math.max(0, depth + change);
    form.classList.toggle("over", depth > 0);
  };
  addEventListener("dragenter", (event) => carriesFiles(event) && mark(1));
  addEventListener("dragleave", (event) => carriesFiles(event) && mark(-1));
  addEventListener("dragover", (event) => carriesFiles(event) && event.preventDefault());
  addEventListener("drop", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    mark(-depth);
    take(event.dataTransfer.files);
  });
}

/** Send one file; resolves to the server's answer, or null when it failed or was canceled. */
function send(file, list, maxBytes) {
  const entry = line(file.name);
  list.append(entry.element);
  if (file.size > maxBytes) {
    entry.fail("FILE_TOO_LARGE: the file is larger than this server takes. Compress it with gzip, or split it.");
    return null;
  }
  return new Promise((resolve) => {
    const request = new XMLHttpRequest();
    const fail = (text) => { entry.fail(text); resolve(null); };
    request.open("POST", "/api/files");
    request.responseType = "json";
    request.upload.addEventListener("progress", (event) => event.lengthComputable && entry.progress(event.loaded / event.total));
    request.addEventListener("load", () => {
      if (request.status === 202 && request.response) {
        entry.element.remove();
        resolve(request.response);
        return;
      }
      const error = request.response?.error;
      fail(error ? `${error.code}: ${error.message}` : `The server answered ${request.status}.`);
    });
    request.addEventListener("error", () => fail("The upload broke off. Is the server still running?"));
    request.addEventListener("abort", () => { entry.element.remove(); resolve(null); });
    entry.onCancel(() => request.abort());
    const body = new FormData();
    body.append("file", file, file.name);
    request.send(body);
  });
}

function line(name) {
  const element = document.createElement("li");
  const label = Object.assign(document.createElement("span"), { className: "name", textContent: name });
  const share = Object.assign(document.createElement("span"), { className: "quiet", textContent: "0%" });
  const button = Object.assign(document.createElement("button"), { type: "button", textContent: "Cancel" });
  const bar = Object.assign(document.createElement("progress"), { max: 1, value: 0 });
  bar.setAttribute("aria-label", `Upload of ${name}`);
  element.append(label, share, button, bar);
  return {
    element,
    progress(done) {
      bar.value = done;
      share.textContent = done < 1 ? `${Math.floor(done * 100)}%` : "Storing";
    },
    fail(text) {
      share.remove();
      const problem = Object.assign(document.createElement("p"), { className: "problem", textContent: text });
      problem.setAttribute("role", "alert");
      bar.replaceWith(problem);
      button.textContent = "Dismiss";
      button.onclick = () => element.remove();
    },
    onCancel(action) {
      button.onclick = action;
    },
  };
}
