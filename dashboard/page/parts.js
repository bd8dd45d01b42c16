// The parts of the page.

const model = new Model();
const detail = new Detail(model, null);
const stream = new Stream(model, (run) => detail.pick(run));
detail.stream = stream;
const parts = {
  stream, progress: new Progress(model), cells: new Cells(model), workers: new Workers(model),
  objects: new Objects(model), resources: new Resources(model), errors: new Errors(), logs: new Logs(),
};
