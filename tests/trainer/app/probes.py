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
  const named = element => element.getAttribute('aria-label')
    || [...(element.labels ?? [])].some(label => label.textContent.trim())
    || !element.matches('select') && element.textContent.trim();
  const controls = all('input, select, button, a, progress, [role=img], [role=group], [role=region]');
  const nameless = controls.filter(element => element.checkVisibility() && !named(element));
  const twice = all('[id]').map(element => element.id).filter((id, index, ids) => ids.indexOf(id) !== index);
  const described = all('[aria-describedby]').map(element => element.getAttribute('aria-describedby'));
  const missing = described.filter(id => !document.getElementById(id));
  const notOnce = ['html[lang]', 'main', 'h1'].filter(selector => all(selector).length !== 1);
  return [...nameless.map(element => element.outerHTML), ...twice, ...missing, ...notOnce];
}"""
