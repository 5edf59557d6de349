// Publishes a batch of generated test cases, and reports whether the broker has it.
//
//     AMQP_URL=amqp://user:password@host/vhost node publish.js batch.json
'use strict';

const { readFileSync } = require('node:fs');
const amqp = require('amqplib');

const EXCHANGE = 'testmo.cases';

async function main() {
  const body = readFileSync(process.argv[2]);
  const connection = await amqp.connect(process.env.AMQP_URL);
  const channel = await connection.createConfirmChannel();
  let returned = false;
  // A message that no queue is bound for comes back before its confirmation.
  channel.on('return', () => { returned = true; });
  // mandatory: without a queue the message comes back, instead of vanishing.
  const options = { contentType: 'application/json', persistent: true, mandatory: true };
  channel.publish(EXCHANGE, 'batch', body, options);
  try {
    await channel.waitForConfirms();
  } finally {
    await connection.close();
  }
  if (returned) throw new Error('no queue is bound for it');
  console.log('published');
}

main().catch((error) => {
  console.error(`The broker did not take the batch: ${error.message}. Publish it again later.`);
  process.exitCode = 1;
});
