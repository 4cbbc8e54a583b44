import { Type } from 'typebox';
import { Problem } from '../schemas/problem.ts';
import { ref } from '../schemas/ref.ts';
import { StepTrace } from './step-schemas.ts';
import { matrix } from '../schemas/tensor.ts';

const StepLine = Type.Object(
  {
    t: Type.Integer({ minimum: 1, description: 'The number of the step, 1 … T.' }),
    h: Type.Optional(matrix('h_t, (N, H); 0 in rows that have ended. With output hs.')),
    y: Type.Optional(matrix('Readout of h_t, (N, O), if the model has one. With output hs.')),
    trace: Type.Optional(ref(StepTrace)),
  },
  { additionalProperties: false },
);

const DoneLine = Type.Object(
  {
    done: Type.Literal(true),
    t: Type.Integer({ description: 'T.' }),
    h: Type.Optional(matrix('Hidden state after the last step of each row, (N, H). With output h.')),
    y: Type.Optional(matrix('Readout of h, (N, O), if the model has one. With output h.')),
  },
  { additionalProperties: false, description: 'The last line: without it the stream was cut.' },
);

const ErrorLine = Type.Object(
  { error: ref(Problem) },
  { additionalProperties: false, description: 'The last line of a stream that failed.' },
);

/** One line of a stream; in an event stream, the data of one event. */
export const SequenceLine = Type.Union([StepLine, DoneLine, ErrorLine], {
  $id: 'SequenceLine',
  description:
    'One line of application/x-ndjson. In text/event-stream it is the `data` of an event whose name ' +
    'is `step`, `done` or `error` and whose `id` is t.',
});
