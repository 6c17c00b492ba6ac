"""What is wrong with a page: scripts that return the elements concerned."""

WIDER_THAN_THE_WINDOW = """
const wide = [...document.querySelectorAll('body *')].filter(item => {
  if (item.closest('.scroll')) return false;
  const box = item.getBoundingClientRect();
  return box.width && (box.right > innerWidth + 1 || box.left < -1);
});
return wide.map(item => item.outerHTML.slice(0, 120));
"""
# WCAG contrast between the colour of each text and its background.
LOW_CONTRAST = """
const parse = text => { const v = text.match(/[\\d.]+/g).map(Number); return v.length < 4 ? [...v, 1] : v; };
const over = (top, under) => [0, 1, 2].map(k => top[k] * top[3] + under[k] * (1 - top[3])).concat(1);
const luminance = ([r, g, b]) => [r, g, b].map(v => v / 255)
  .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
  .reduce((sum, v, k) => sum + v * [0.2126, 0.7152, 0.0722][k], 0);
const ratio = (a, b) => {
  const [x, y] = [luminance(a), luminance(b)].sort((p, q) => q - p);
  return (x + 0.05) / (y + 0.05);
};
const behind = item => {
  let colour = [0, 0, 0, 0];
  for (let node = item; node; node = node.parentElement) {
    const found = parse(getComputedStyle(node).backgroundColor);
    if (found[3]) { colour = colour[3] ? over(colour, found) : found; if (colour[3] === 1) break; }
  }
  return colour[3] ? colour : [255, 255, 255, 1];
};
const low = [];
for (const item of document.querySelectorAll('body *')) {
  const own = [...item.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
  if (!own || item.tagName === 'title' || item.closest('style')) continue;
  const style = getComputedStyle(item);
  const ink = item.closest('svg') ? style.fill : style.color;
  let under = behind(item);
  if (item.classList.contains('cell')) {
    const cell = item.previousElementSibling, paint = getComputedStyle(cell);
    under = over([...parse(paint.fill).slice(0, 3), Number(paint.fillOpacity)], under);
  }
  const found = ratio(over(parse(ink), under), under);
  if (found < 4.5) low.push([item.outerHTML.slice(0, 100), found]);
}
return low;
"""
UNNAMED_IMAGES = """
return [...document.querySelectorAll('img, svg')].filter(item => item.getAttribute('aria-hidden') !== 'true'
  && !(item.getAttribute('alt') || item.getAttribute('aria-label'))).length;
"""
