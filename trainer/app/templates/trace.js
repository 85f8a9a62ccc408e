// Zooms and pans the trace of the open cell: by buttons, keys, or dragging, which pans with Shift.
byId('opened').addEventListener('opened', () => {
  const box = byId('opened').querySelector('.opened[data-last]');
  if (!box) return;
  const figure = box.querySelector('figure.activity');
  const whole = Number(box.dataset.last), least = Math.min(0.005, whole);
  const wholePicture = figure.querySelector('svg');
  let first = 0, last = whole, asked = 0;

  const bar = document.createElement('div');
  bar.className = 'zoom';
  const where = document.createElement('span');
  where.setAttribute('role', 'status');
  const view = document.createElement('div');
  view.className = 'view';
  view.tabIndex = 0;
  view.setAttribute('role', 'group');
  view.setAttribute('aria-label', 'Trace. Plus and minus zoom, arrow keys move, 0 shows the whole recording.');
  wholePicture.before(bar, view);
  view.append(wholePicture);

  const decimals = () => Math.max(1, Math.min(4, 1 - Math.floor(Math.log10(last - first))));
  const show = async (from, to) => {
    const width = Math.max(least, Math.min(to - from, whole));
    first = Math.max(0, Math.min((from + to - width) / 2, whole - width));
    last = first + width;
    const isWhole = width >= whole;
    where.textContent = isWhole ? 'whole recording' : `${first.toFixed(decimals())} to ${last.toFixed(decimals())} s`;
    const turn = asked += 1;
    if (isWhole) return view.replaceChildren(wholePicture);
    const answer = await ask(`cells/${box.dataset.cell}/stretch?first=${first}&last=${last}`);
    if (turn !== asked) return; // Another stretch was asked for meanwhile, also while this one was still coming.
    if (answer.ok) view.innerHTML = answer.text;
    else where.textContent = problemOf(answer).problem;
  };
  const zoom = factor => {
    const middle = (first + last) / 2, half = (last - first) * factor / 2;
    return show(middle - half, middle + half);
  };
  const move = share => {
    const by = (last - first) * share;
    return show(first + by, last + by);
  };
  const acts = {
    'Zoom in': ['+', () => zoom(0.5)],
    'Zoom out': ['\u2212', () => zoom(2)],
    'Earlier': ['\u2190', () => move(-0.5)],
    'Later': ['\u2192', () => move(0.5)],
    'Whole recording': ['whole', () => show(0, whole)],
  };
  for (const [name, [sign, act]] of Object.entries(acts)) {
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = sign;
    button.title = name;
    button.setAttribute('aria-label', name);
    button.addEventListener('click', act);
    bar.append(button);
  }
  bar.append(where);
  where.textContent = 'whole recording; drag across a stretch to zoom into it, then with Shift to move';

  const ofKey = {
    '+': 'Zoom in', '=': 'Zoom in', '-': 'Zoom out', ArrowLeft: 'Earlier', ArrowRight: 'Later', 0: 'Whole recording',
  };
  view.addEventListener('keydown', event => {
    const name = ofKey[event.key];
    if (!name || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    acts[name][1]();
  });

  const secondsAt = event => {
    const place = view.firstElementChild.getBoundingClientRect();
    const share = (event.clientX - place.left) / place.width;
    return first + Math.max(0, Math.min(share, 1)) * (last - first);
  };
  const mark = document.createElement('div');
  mark.className = 'stretch';
  let start = null;
  view.addEventListener('pointerdown', event => {
    if (event.pointerType === 'touch' || event.button) return;
    start = { seconds: secondsAt(event), x: event.clientX, pans: event.shiftKey && last - first < whole };
    view.setPointerCapture(event.pointerId);
    event.preventDefault();
    view.focus({ preventScroll: true });
  });
  view.addEventListener('pointermove', event => {
    if (!start) return;
    if (start.pans) {
      view.firstElementChild.style.translate = `${event.clientX - start.x}px`;
      return;
    }
    const place = view.getBoundingClientRect();
    mark.style.left = `${Math.min(start.x, event.clientX) - place.left}px`;
    mark.style.width = `${Math.abs(event.clientX - start.x)}px`;
    if (!mark.isConnected) view.append(mark);
  });
  const stop = () => {
    start = null;
    mark.remove();
    view.firstElementChild.style.translate = '';
  };
  view.addEventListener('pointerup', event => {
    if (!start) return;
    const { seconds, x, pans } = start;
    stop();
    const end = secondsAt(event);
    if (Math.abs(event.clientX - x) <= 4) return;
    if (pans) show(first + seconds - end, last + seconds - end);
    else show(Math.min(seconds, end), Math.max(seconds, end));
  });
  view.addEventListener('pointercancel', stop);
  view.addEventListener('dblclick', () => show(0, whole));
});
