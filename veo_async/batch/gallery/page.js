"use strict";
// Filters the cards by state and by text, and loads the first frame of the videos in view. Without this script the page
// still shows and plays everything; only the filter bar stays hidden.
(() => {
  const bar = document.querySelector(".bar");
  const search = document.getElementById("search");
  const shown = document.querySelector(".shown");
  const noMatches = document.querySelector(".no-matches");
  const list = document.querySelector(".cards");
  const buttons = [...bar.querySelectorAll("button")];
  const cards = [...document.querySelectorAll(".card")];
  const texts = new Map();
  let state = "";

  const normalize = (text) => text.normalize("NFKC").toLowerCase();

  // Read on first use, so that a page of a thousand cards opens quickly.
  const textOf = (card) => {
    if (!texts.has(card)) {
      const parts = [...card.querySelectorAll("[data-search]")].map((part) => part.textContent);
      texts.set(card, normalize(parts.join("\n")));
    }
    return texts.get(card);
  };

  // Checks first: pausing a video that never played makes the browser fetch it.
  const pause = (video) => {
    if (video && !video.paused) video.pause();
  };

  // Hides the whole list while cards change; reading its style applies that at once. Hiding a thousand videos one by
  // one would keep the browser busy for seconds.
  const withoutLayout = (change) => {
    list.hidden = true;
    void getComputedStyle(list).display;
    change();
    list.hidden = false;
  };

  const apply = () => withoutLayout(filter);

  const filter = () => {
    const words = normalize(search.value).split(/\s+/).filter(Boolean);
    let count = 0;
    for (const card of cards) {
      const matches =
        (!state || card.dataset.state === state) && (!words.length || words.every((word) => textOf(card).includes(word)));
      if (card.hidden === matches) card.hidden = !matches;
      if (matches) count += 1;
      else pause(card.querySelector("video"));
    }
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.state === state));
    shown.textContent = `${count.toLocaleString("en")} of ${cards.length.toLocaleString("en")} shown`;
    noMatches.hidden = count > 0;
  };

  const choose = (chosen) => {
    state = chosen === state ? "" : chosen;
    apply();
  };

  const clear = () => {
    search.value = "";
    apply();
  };

  const isTyping = (element) => element instanceof HTMLInputElement;

  for (const button of buttons) button.addEventListener("click", () => choose(button.dataset.state));
  document.querySelector(".clear").addEventListener("click", () => {
    state = "";
    clear();
    search.focus();
  });
  search.addEventListener("input", apply);
  // While one of a video's own controls has the focus, Chromium sends no keys to the page. There is no way around it.
  const onKey = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "/" && !isTyping(event.target)) {
      event.preventDefault();
      search.focus();
      search.select();
    } else if (event.key === "Escape" && (search.value || document.activeElement === search)) {
      event.preventDefault();
      if (search.value) clear();
      else search.blur();
    }
  };
  document.addEventListener("keydown", onKey);

  // Plays one video at a time.
  document.addEventListener(
    "play",
    (event) => {
      for (const video of document.querySelectorAll("video")) if (video !== event.target) pause(video);
    },
    true,
  );

  // A browser keeps only a few dozen videos loaded, so a video that scrolls out of view before it was played is unloaded.
  const watch = new IntersectionObserver(
    (entries) => {
      for (const { target: video, isIntersecting } of entries) {
        if (isIntersecting && video.preload === "none") video.preload = "metadata";
        else if (!isIntersecting && video.preload !== "none" && video.paused && video.currentTime === 0) {
          video.preload = "none";
          video.setAttribute("src", video.getAttribute("src")); // load() would ignore preload
        }
      }
    },
    { rootMargin: "300px" },
  );
  for (const video of document.querySelectorAll("video")) watch.observe(video);

  bar.hidden = false;
})();
