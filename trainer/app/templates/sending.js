// Sends the files that are chosen or dropped, one after the other.
{
  const queue = [];
  let sent = 0, sending = false;

  const refuse = (name, why) => {
    const line = document.createElement('li');
    const bold = document.createElement('strong');
    bold.textContent = name;
    line.append(bold, ` was not taken: ${why}`);
    byId('refused').append(line);
  };

  const sendFile = async file => {
    if (file.size > Number(document.body.dataset.mostBytes)) {
      return refuse(file.name, 'it is larger than the page takes; give it to sero-classify.');
    }
    const fields = fieldsOf(byId('next'));
    fields.set('name', file.name);
    const answer = await ask(`files?${fields}`, { method: 'POST', body: file });
    if (answer.ok) return;
    if (!answer.status) return refuse(file.name, 'it could not be read or sent.');
    const refused = problemOf(answer);
    refuse(file.name, refused.problem);
    if (refused.field) {
      byId('reading').open = true;
      byId('next').elements[refused.field].focus();
    }
  };

  const sendAll = async files => {
    if (!sending) {
      byId('refused').replaceChildren();
      sent = 0;
    }
    queue.push(...files);
    if (sending) return;
    sending = true;
    while (queue.length) {
      say(`Sending ${sent + 1} of ${sent + queue.length}: ${queue[0].name}`);
      await sendFile(queue.shift());
      sent += 1;
      if (sent === 1) look();
    }
    sending = false;
    say('');
    look();
  };

  // A dropped folder is entered, at any depth, in the order of names; hidden files are left out.
  const filesIn = async entry => {
    if (entry.name.startsWith('.')) return [];
    if (entry.isFile) return [await new Promise((found, failed) => entry.file(found, failed))];
    const reader = entry.createReader(), entries = [], files = [];
    for (;;) {
      const some = await new Promise((found, failed) => reader.readEntries(found, failed));
      if (!some.length) break;
      entries.push(...some);
    }
    entries.sort((one, other) => one.name.localeCompare(other.name, 'en', { numeric: true }));
    for (const inner of entries) files.push(...await filesIn(inner));
    return files;
  };

  const filesOf = async transfer => {
    const entries = [...transfer.items].map(item => item.webkitGetAsEntry?.()).filter(Boolean);
    if (!entries.length) return [...transfer.files];
    return (await Promise.all(entries.map(filesIn))).flat();
  };

  byId('choose').addEventListener('change', async event => {
    const files = [...event.target.files];
    event.target.value = '';
    await sendAll(files);
  });

  const holdsFiles = event => event.dataTransfer?.types.includes('Files');
  addEventListener('dragover', event => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    document.body.classList.add('dropping');
  });
  addEventListener('dragleave', event => {
    if (!event.relatedTarget) document.body.classList.remove('dropping');
  });
  addEventListener('drop', async event => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    document.body.classList.remove('dropping');
    try {
      await sendAll(await filesOf(event.dataTransfer));
    } catch {
      refuse('What you dropped', 'it cannot be read.');
    }
  });

  addEventListener('beforeunload', event => {
    if (sending) event.preventDefault();
  });
}
