// A worker that ticks: timers of a page in the background are slowed down, those of a worker are not.
let timer = 0;
self.onmessage = ({ data }) => {
  clearInterval(timer);
  if (data > 0) timer = setInterval(() => self.postMessage(0), data);
};
