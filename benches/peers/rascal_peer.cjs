// Delivers batches with rascal and undici: a subscription and a publication, as in rascal's guide.
//
// undici's pool limits how many requests are in flight, and its retry interceptor repeats requests that were answered 5xx.
'use strict';

const { BrokerAsPromised, withDefaultConfig } = require('rascal');
const { Pool, interceptors } = require('undici');

const env = process.env;
const target = new URL(env.CASES_URL);
const pool = new Pool(target.origin, { connections: Number(env.IN_FLIGHT), pipelining: 1 }).compose(
  interceptors.retry({ methods: ['POST'], statusCodes: [500, 502, 503, 504], maxRetries: 4 }),
);
const headers = {
  authorization: `Bearer ${env.API_KEY}`,
  accept: 'application/json',
  'content-type': 'application/json',
};
const priorities = { critical: 1, high: 1, normal: 2, low: 3 };

const entry = (batchCase) => ({
  name: batchCase.name,
  folder_id: Number(env.FOLDER_ID),
  custom_steps: batchCase.steps.map((step, n) => ({
    text1: step.action,
    text2: step.data,
    text3: step.expected,
    display_order: n + 1,
  })),
  custom_priority: priorities[batchCase.priority],
  tags: batchCase.tags,
});

const delivered = (batch, created) => ({
  tenant_id: batch.tenant_id,
  batch_id: batch.batch_id,
  outcome: 'delivered',
  cases: batch.cases.map(({ external_id }, n) => ({ external_id, testmo_id: created.result[n].id })),
});

async function post(batch) {
  const body = JSON.stringify({ cases: batch.cases.map(entry) });
  const response = await pool.request({ path: target.pathname, method: 'POST', headers, body });
  if (response.statusCode !== 201) throw new Error(`answered ${response.statusCode}`);
  return response.body.json();
}

async function announce(broker, batch, created) {
  const routingKey = `${batch.tenant_id}.batch.delivered`;
  const publication = await broker.publish('delivered', delivered(batch, created), { routingKey });
  await new Promise((resolve, reject) => {
    publication.on('success', resolve).on('error', reject).on('return', () => reject(new Error('returned')));
  });
}

async function main() {
  const broker = await BrokerAsPromised.create(
    withDefaultConfig({
      vhosts: {
        [decodeURIComponent(new URL(env.AMQP_URL).pathname.slice(1))]: {
          connection: { url: env.AMQP_URL },
          queues: { [env.CASES_QUEUE]: { assert: false, check: true } },
          exchanges: { [env.EVENTS_EXCHANGE]: { assert: false, check: true } },
          // Publications are confirmed and persistent unless it is said otherwise.
          publications: { delivered: { exchange: env.EVENTS_EXCHANGE } },
          subscriptions: { cases: { queue: env.CASES_QUEUE, prefetch: Number(env.PREFETCH) } },
        },
      },
    }),
  );
  broker.on('error', console.error);
  const subscription = await broker.subscribe('cases');
  subscription.on('error', console.error);
  subscription.on('message', async (message, batch, ackOrNack) => {
    try {
      await announce(broker, batch, await post(batch));
      ackOrNack();
    } catch (error) {
      console.error(error);
      ackOrNack(error, { strategy: 'nack', requeue: true });
    }
  });
  process.on('SIGTERM', () => broker.shutdown().finally(() => process.exit(0)));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
