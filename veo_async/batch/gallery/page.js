"use strict";
// Plays the clips in a player, filters the cards, and shows times in the reader's time zone. Without this script the
// page still shows everything: a click on a clip opens its file, and only the filter bar stays hidden.

// --- times -------------------------------------------------------------------------------------------------------
(() => {
  const date = new Intl.DateTimeFormat("en-GB", { dateStyle: "long" });
  const instant = new Intl.DateTimeFormat("en-GB", {
    day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", timeZoneName: "short",
  });
  for (const element of document.querySelectorAll("time")) {
    const moment = new Date(element.dateTime);
    if (!Number.isNaN(moment.getTime())) element.textContent = ("date" in element.dataset ? date : instant).format(moment);
  }
})();

// --- the player --------------------------------------------------------------------------------------------------
(() => {
  const player = document.querySelector(".player");
  const video = player.querySelector("video");
  const [close, previous, next, save] = [".close", ".previous", ".next", ".save"].map((name) => player.querySelector(name));
  const cards = [...document.querySelectorAll(".clip")];
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  let current = null;

  const linkOf = (card) => card.querySelector(".play");
  const shown = () => cards.filter((card) => !card.hidden);
  const play = () => video.play().catch(() => {}); // the browser may want a click; the controls are there

  const show = (card) => {
    const list = shown();
    const number = list.indexOf(card);
    current = card;
    video.src = linkOf(card).getAttribute("href");
    const poster = card.querySelector("img");
    if (poster) video.poster = poster.src;
    else video.removeAttribute("poster");
    player.querySelector("strong").textContent = card.querySelector("h3").textContent;
    player.querySelector(".position").textContent = list.length > 1 ? `${number + 1} of ${list.length}` : "";
    previous.disabled = number <= 0;
    next.disabled = number >= list.length - 1;
    previous.hidden = next.hidden = list.length < 2;
    save.href = video.getAttribute("src");
    if (!calm.matches) play();
  };

  const move = (step) => {
    const list = shown();
    const card = list[list.indexOf(current) + step];
    if (card) show(card);
    if (document.activeElement.disabled) player.focus(); // a disabled button would keep the keys for itself
  };

  const toggle = () => (video.paused ? play() : video.pause());

  const open = (card) => {
    player.showModal();
    player.focus();
    show(card);
  };

  player.addEventListener("close", () => {
    video.pause();
    video.removeAttribute("src");
    video.load();
    if (current) linkOf(current).focus();
  });

  // Tab stays inside the player; the browser would leave it for its own bars.
  const wrap = (event) => {
    const stops = [close, video, previous, next, save].filter((stop) => !stop.disabled && !stop.hidden);
    const last = stops.at(-1);
    if (event.shiftKey && (event.target === close || event.target === player)) last.focus();
    else if (!event.shiftKey && event.target === last) close.focus();
    else return;
    event.preventDefault();
  };

  player.addEventListener(
    "keydown",
    (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "Tab") wrap(event);
      else if (event.key === "ArrowLeft" || event.key === "ArrowRight") move(event.key === "ArrowLeft" ? -1 : 1);
      else if (event.key === " " && !event.target.closest("button, a")) toggle();
      else return;
      if (event.key !== "Tab") event.preventDefault();
      event.stopPropagation();
    },
    true,
  );
  close.addEventListener("click", () => player.close());
  previous.addEventListener("click", () => move(-1));
  next.addEventListener("click", () => move(1));

  for (const card of cards) {
    const link = linkOf(card);
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      open(card);
    });
    link.addEventListener("keydown", (event) => {
      if (event.key !== " ") return;
      event.preventDefault();
      open(card);
    });
  }

  // Without a poster, a still is a frame of the video. A browser keeps only a few dozen videos loaded, so it is loaded
  // while it is in view.
  const watch = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) {
        const preload = isIntersecting ? "metadata" : "none";
        if (target.preload === preload) continue;
        target.preload = preload;
        if (!isIntersecting) target.setAttribute("src", target.getAttribute("src")); // load() would ignore preload
      }
    },
    { rootMargin: "300px" },
  );
  for (const still of document.querySelectorAll(".play video")) watch.observe(still);
})();

// --- the filter --------------------------------------------------------------------------------------------------
(() => {
  const bar = document.querySelector(".bar");
  const search = document.getElementById("search");
  const shown = document.querySelector(".shown");
  const noMatches = document.querySelector(".no-matches");
  const clips = document.querySelector(".clips");
  const unfinished = document.getElementById("unfinished");
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

  // Hides the whole list while cards change; reading its style applies that at once. Hiding a thousand cards one by one
  // would keep the browser busy for seconds.
  const withoutLayout = (change) => {
    clips.hidden = true;
    void getComputedStyle(clips).display;
    change();
    clips.hidden = false;
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
    }
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.state === state));
    const all = cards.length.toLocaleString("en");
    shown.textContent = count < cards.length ? `${count.toLocaleString("en")} of ${all} shown` : "";
    if (unfinished) unfinished.hidden = !unfinished.querySelector(".card:not([hidden])");
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
  const onKey = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector(".player").open) return;
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

  bar.hidden = false;
})();
