"""Scripts that a browser runs on the page and that return what is wrong with it."""

# Text with less contrast than WCAG 2 asks for (level AA): [text, its ratio].
CONTRAST = """() => {
  const channels = colour => colour.match(/[\\d.]+/g).map(Number);
  const over = (above, below) => {
    const [r, g, b, a = 1] = above;
    return [r, g, b].map((value, index) => a * value + (1 - a) * below[index]);
  };
  const brightness = colour => {
    const [r, g, b] = colour.map(value => {
      const share = value / 255;
      return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = element => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) {
      const colour = channels(getComputedStyle(at).backgroundColor);
      layers.unshift(colour);
      if ((colour[3] ?? 1) === 1) break;
    }
    return layers.reduce((below, layer) => over(layer, below), [255, 255, 255]);
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), low = [];
  while (texts.nextNode()) {
    const text = texts.currentNode.textContent.trim(), element = texts.currentNode.parentElement;
    if (!text || !element.checkVisibility({ visibilityProperty: true }) || element.closest('option, script')) continue;
    const style = getComputedStyle(element), ground = behind(element);
    const ink = channels(element instanceof SVGElement ? style.fill : style.color);
    const [light, dark] = [brightness(over(ink, ground)), brightness(ground)].sort((a, b) => b - a);
    const ratio = (light + 0.05) / (dark + 0.05);
    const isLarge = parseFloat(style.fontSize) >= 24 && !(element instanceof SVGElement);
    if (ratio < (isLarge ? 3 : 4.5)) low.push([text, ratio]);
  }
  return low;
}"""

# What a screen reader could not name, and ids and headings that are missing or there twice.
NAMELESS = """() => {
  const all = selector => [...document.querySelectorAll(selector)];
  // The options of a select do not name it.
  const named = element => element.getAttribute('aria-label') || element.alt
    || [...(element.labels ?? [])].some(label => label.textContent.trim())
    || !element.matches('select') && element.textContent.trim();
  const controls = all('input, select, button, a, progress, img, [role=img], [role=group], [role=region]');
  const nameless = controls.filter(element => element.checkVisibility() && !named(element));
  const twice = all('[id]').map(element => element.id).filter((id, index, ids) => ids.indexOf(id) !== index);
  const described = all('[aria-describedby]').map(element => element.getAttribute('aria-describedby'));
  const missing = described.filter(id => !document.getElementById(id));
  const notOnce = ['html[lang]', 'main', 'h1'].filter(selector => all(selector).length !== 1);
  const levels = all('h1, h2, h3, h4').map(head => Number(head.tagName[1]));
  const skipped = levels.filter((level, index) => level > (levels[index - 1] ?? 0) + 1);
  return [...nameless.map(element => element.outerHTML), ...twice, ...missing, ...notOnce, ...skipped];
}"""

# Texts in figures that are smaller on the screen than so many pixels: [text or figure, its size].
SMALL_LETTERS = """least => {
  const scale = element => Math.hypot(element.getScreenCTM().a, element.getScreenCTM().b);
  const sizes = [];
  for (const figure of document.querySelectorAll('figure')) {
    for (const text of figure.querySelectorAll('text')) {
      if (getComputedStyle(text).display === 'none') continue;
      sizes.push([text.textContent, parseFloat(getComputedStyle(text).fontSize) * scale(text)]);
    }
    for (const use of figure.querySelectorAll('use')) {
      for (const text of document.querySelector(use.getAttribute('href')).querySelectorAll('text')) {
        sizes.push([text.textContent, parseFloat(getComputedStyle(text).fontSize) * scale(use)]);
      }
    }
    // Letters of matplotlib are outlines of a hundred units.
    for (const image of figure.querySelectorAll('img')) {
      const svg = atob(image.src.split(',')[1]);
      const shown = image.getBoundingClientRect().width / Number(/viewBox="0 0 ([\\d.]+)/.exec(svg)[1]);
      for (const [, size] of svg.matchAll(/ scale\\((0\\.\\d+) -/g)) sizes.push([image.alt, 100 * size * shown]);
    }
  }
  if (!sizes.length) return ['no text at all'];
  return sizes.filter(([, size]) => size < least);
}"""

# What reaches beyond the screen, apart from the rows of tables that scroll by themselves.
OVERFLOWING = """() => {
  const wide = element => element.getBoundingClientRect().right > document.documentElement.clientWidth + 0.5;
  return [...document.querySelectorAll('body *')].filter(element => !element.closest('table') && wide(element))
    .map(element => element.outerHTML.slice(0, 80));
}"""
