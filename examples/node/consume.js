// Consumes events of testmo-courier, each once, however often it is sent.
//
//     AMQP_URL=amqp://user:password@host/vhost node consume.js [QUEUE [SEEN]]
//
// QUEUE is the durable queue, "my-generator.events" by default; SEEN is the file that keeps the ids of events.
'use strict';

const fs = require('node:fs');
const amqp = require('amqplib');

const EXCHANGE = 'testmo.events';
const PREFIX = 'com.sqai-suite.testmo.';

// Returns what is printed about an event. Do your own work here.
function handle({ type, data }) {
  switch (type.replace(PREFIX, '')) {
    case 'batch.delivered.v1':
    case 'batch.partially_delivered.v1':
    case 'batch.failed.v1': {
      const links = data.cases.filter((one) => one.link);
      return `${data.outcome} ${data.batch_id}: ${links.length} of ${data.cases.length} cases`;
    }
    case 'batch.deferred.v1':
      return `deferred ${data.batch_id}: ${data.reason}`;
    case 'message.invalid.v1':
      return `invalid message: ${data.reason}`;
    default:
      // New types of events may be added at any time.
      return `ignored ${type}`;
  }
}

async function main() {
  const [queue = 'my-generator.events', file = 'seen-events.txt'] = process.argv.slice(2);
  const seen = new Set(fs.existsSync(file) ? fs.readFileSync(file, 'utf8').split('\n') : []);

  const connection = await amqp.connect(process.env.AMQP_URL);
  const channel = await connection.createChannel();
  // A durable queue keeps events while this program is stopped. Bind it before the first batch is published.
  await channel.assertQueue(queue, { durable: true, arguments: { 'x-queue-type': 'quorum' } });
  await channel.bindQueue(queue, EXCHANGE, '#');
  // At most so many events are in hand without an acknowledgement.
  await channel.prefetch(20);
  await channel.consume(queue, (message) => {
    const event = JSON.parse(message.content.toString());
    if (seen.has(event.id)) {
      console.log(`again ${event.id}`);
    } else {
      console.log(handle(event));
      // An event is seen once its work is done, and acknowledged after that.
      fs.appendFileSync(file, `${event.id}\n`);
      seen.add(event.id);
    }
    channel.ack(message);
  });
  console.log('ready');
}

main();
