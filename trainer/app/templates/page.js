// The table of verdicts, its filter, and the evidence on the cell that the address names.
const byId = id => document.getElementById(id);
const table = document.querySelector('table.verdicts');
const say = text => { byId('said').textContent = text; };

const filterRows = () => {
  const name = byId('named').value.trim().toLowerCase(), kind = byId('kind').value;
  let shown = 0;
  for (const row of table.tBodies[0].rows) {
    const fits = !kind || (kind === 'warned' ? 'warned' in row.dataset : row.dataset.kind === kind);
    row.hidden = !fits || !row.cells[0].textContent.toLowerCase().includes(name);
    shown += !row.hidden;
  }
  const all = table.tBodies[0].rows.length;
  byId('shown').textContent = shown === all ? '' : `${shown} of ${all} rows`;
};
byId('named').addEventListener('input', filterRows);
byId('kind').addEventListener('change', filterRows);
byId('filter').addEventListener('submit', event => event.preventDefault());

// Asks the program, and waits for the whole answer; its status is 0 if there is none.
const ask = async (address, request) => {
  try {
    const answer = await fetch(address, request);
    const kind = answer.headers.get('Content-Type') ?? '';
    return { ok: answer.ok, status: answer.status, kind, text: await answer.text() };
  } catch {
    return { ok: false, status: 0, kind: '', text: '' };
  }
};

// What a JSON text holds; nothing if it is none, as another program may answer.
const contentOf = text => {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return {};
  }
};

// What the program says against a request: the sentence, and the field of the form that it is about.
const problemOf = ({ status, kind, text }) => {
  if (!status) return { problem: 'The program does not answer.' };
  const said = kind.startsWith('application/json') ? contentOf(text) : {};
  if (said.problem) return said;
  const isSaid = status < 500 && kind.startsWith('text/plain');
  return { problem: isSaid ? text : 'the program failed; its terminal says why.' };
};

const rowsOf = number => [...table.tBodies[0].querySelectorAll(`tr[data-file="${number}"]`)];

// Puts the rows of a file in the place of its old ones; what had the focus keeps it.
const showRows = ({ number, rows }) => {
  const old = rowsOf(number);
  const focused = old.some(row => row.contains(document.activeElement)) && document.activeElement.hash;
  const made = document.createElement('tbody');
  made.innerHTML = rows;
  if (old.length) old[0].before(...made.rows); else table.tBodies[0].append(...made.rows);
  for (const row of old) row.remove();
  if (focused) table.tBodies[0].querySelector(`a[href="${focused}"]`)?.focus();
};

const open = async (move = true) => {
  const place = /^#cell-(\d+)-(\d+)$/.exec(location.hash);
  const opened = byId('opened');
  for (const row of table.querySelectorAll('.current')) row.classList.remove('current');
  if (!place) return opened.replaceChildren();
  const [hash, number, index] = place;
  const answer = await ask(`cells/${number}-${index}`);
  if (hash !== location.hash) return; // Another cell was opened meanwhile.
  if (answer.status === 404) return opened.replaceChildren();
  if (!answer.ok) return opened.replaceChildren(problemOf(answer).problem);
  opened.innerHTML = answer.text;
  table.querySelector(`a[href="${hash}"]`)?.closest('tr').classList.add('current');
  const head = opened.querySelector('h2');
  head.tabIndex = -1;
  if (move) {
    head.focus({ preventScroll: true });
    head.scrollIntoView({ block: 'start' });
  }
  opened.dispatchEvent(new Event('opened'));
};
addEventListener('hashchange', () => open());

const isOpen = number => byId('opened').querySelector(`.opened[data-file="${number}"]`);

const showState = state => {
  for (const file of state.files) showRows(file);
  for (const number of state.removed) rowsOf(number).forEach(row => row.remove());
  table.dispatchEvent(new Event('rowschanged'));
  filterRows();
  for (const [kind, count] of Object.entries(state.counts)) {
    document.querySelector(`[data-count="${kind}"]`).textContent = count.toLocaleString('en');
  }
  byId('words').textContent = state.words;
  byId('unwatched').textContent = state.unwatched;
  byId('downloads').hidden = !(state.counts.SER + state.counts.NSER + state.counts.undecided);
  byId('stamp').hidden = !state.source_words;
  byId('stamp').querySelector('strong').textContent = state.source_words;
  byId('stamp').querySelector('span').textContent = state.not_about;
  byId('found').hidden = !table.tBodies[0].rows.length;
  byId('working').hidden = !state.busy;
  byId('progress').textContent = state.progress;
  byId('bar').max = Math.max(state.total, 1);
  byId('bar').value = state.done;
  if (state.removed.some(isOpen)) byId('opened').replaceChildren();
  // What is open is shown anew when its verdict is.
  const anew = state.files.some(({ number }) => isOpen(number) && rowsOf(number).some(row => row.querySelector('a')));
  if (anew || !byId('opened').childElementCount) open(!anew && !version);
};

let version = 0;
let looking;
const look = async () => {
  clearTimeout(looking);
  let wait = 1000;
  const answer = await ask(`state?since=${version}`);
  try {
    const state = answer.ok ? contentOf(answer.text) : {};
    const isState = Array.isArray(state.files);
    if (isState) {
      showState(state);
      version = state.version;
      if (state.busy) wait = 250;
    }
    const hasEnded = !isState && answer.status !== 204;
    if (hasEnded) {
      say(`${whyEnded(answer)} What is shown stays until you reload.`);
      wait = 2000;
    } else if (document.body.classList.contains('ended')) say('');
    document.body.classList.toggle('ended', hasEnded);
  } finally {
    looking = setTimeout(look, wait);
  }
};

const whyEnded = ({ status, text }) => {
  if (!status) return 'The program does not answer; it has ended, perhaps.';
  const { problem } = contentOf(text);
  if (problem) return problem;
  if (status >= 500) return 'The program failed; its terminal says why.';
  return 'The program has ended, and another one answers here: open the address that it has printed.';
};

const fieldsOf = form => new URLSearchParams(new FormData(form));

// Sends a form and shows what is wrong in it; returns whether it was taken.
const send = async (form, address, focuses = true) => {
  const problem = form.querySelector('.problem');
  for (const field of form.querySelectorAll('[aria-invalid]')) field.removeAttribute('aria-invalid');
  problem.textContent = '';
  const answer = await ask(`${address}?${fieldsOf(form)}`, { method: 'POST' });
  if (answer.ok) return true;
  const refused = problemOf(answer);
  problem.textContent = refused.problem;
  const field = refused.field && form.elements[refused.field];
  if (field) {
    field.setAttribute('aria-invalid', 'true');
    if (focuses) field.focus();
  }
  return false;
};

// What the watched folder brings next is read so too. One change is sent after the other, so that the last one holds.
{
  let sent = Promise.resolve();
  byId('next').addEventListener('change', ({ currentTarget: form }) => {
    sent = sent.then(async () => {
      if (!await send(form, 'reading', false)) form.querySelector('.problem').append(' The former settings hold.');
    });
  });
}

byId('next').addEventListener('submit', async event => {
  event.preventDefault();
  if (await send(event.target, 'files/reading')) look();
});

byId('opened').addEventListener('submit', async event => {
  event.preventDefault();
  const number = event.target.closest('.opened').dataset.file;
  if (!await send(event.target, `files/${number}/reading`)) return;
  look();
});

byId('opened').addEventListener('click', async event => {
  if (!event.target.matches('.remove')) return;
  const answer = await ask(`files/${event.target.closest('.opened').dataset.file}`, { method: 'DELETE' });
  if (!answer.ok) {
    event.target.form.querySelector('.problem').textContent = problemOf(answer).problem;
    return;
  }
  history.replaceState(null, '', '#verdicts');
  byId('opened').replaceChildren();
  byId('verdicts').focus();
  look();
});

look();
