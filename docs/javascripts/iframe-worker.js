// The search runs in a worker, which browsers refuse to a page from the disk; a hidden frame takes its place there.
if (location.protocol === 'file:') {
  window.Worker = class extends EventTarget {
    constructor(address) {
      super();
      const frame = document.createElement('iframe');
      frame.hidden = true;
      frame.srcdoc = '<body></body>';
      this.ready = new Promise((ready, failed) => {
        frame.addEventListener('load', () => {
          const inner = frame.contentWindow;
          inner.postMessage = data => this.dispatchEvent(new MessageEvent('message', { data }));
          const script = frame.contentDocument.createElement('script');
          script.src = address;
          script.addEventListener('load', () => ready(inner));
          script.addEventListener('error', failed);
          frame.contentDocument.body.append(script);
        }, { once: true });
      });
      document.body.append(frame);
    }

    async postMessage(data) {
      (await this.ready).dispatchEvent(new MessageEvent('message', { data }));
    }
  };
}
