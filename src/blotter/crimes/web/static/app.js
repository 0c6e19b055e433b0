// What scripts add to the pages, each in its own file: nothing here is needed to read a page.
import { localTimes } from "./times.js";
import { followList, followResult } from "./live.js";
import { uploads } from "./upload.js";
import { mapKeys, sortableTables, threshold, tooltips } from "./figures.js";

document.documentElement.classList.add("scripted");

function enhance() {
  localTimes();
  sortableTables();
  mapKeys();
  threshold();
}

enhance();
tooltips();
uploads(enhance);
followList(enhance);
followResult(enhance);
