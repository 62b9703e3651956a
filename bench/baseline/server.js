// The conventional service that `make compare` measures beside the ticket office: Express and Sequelize on PostgreSQL.
//
//     DATABASE_URL=postgres://... node server.js PORT WORKERS
//
// Every change of an event locks the event's row first, so changes of one event happen one after the other. That keeps
// what the office promises, too: no oversell, one active booking per user, first come first served. The ids of bookings
// are handed out under this lock, so they are the order of the waiting list. A cancelled ticket goes to the head of the
// list in the same transaction; while anyone waits, no ticket is free.

import cluster from 'node:cluster';
import express from 'express';
import { DataTypes, Op, Sequelize, UniqueConstraintError, literal } from 'sequelize';

const [port, workers] = process.argv.slice(2).map(Number);
const POOL = 2; // connections of a worker: more would only wait for the same row
const ACTIVE = ['CONFIRMED', 'WAITING'];

const sequelize = new Sequelize(process.env.DATABASE_URL, {
  logging: false,
  define: { timestamps: false, underscored: true },
  pool: { min: POOL, max: POOL, acquire: 30_000 },
});

const Event = sequelize.define('event', {
  eventId: { type: DataTypes.UUID, primaryKey: true, defaultValue: DataTypes.UUIDV4 },
  name: { type: DataTypes.TEXT, allowNull: false },
  totalTickets: { type: DataTypes.INTEGER, allowNull: false },
  availableTickets: { type: DataTypes.INTEGER, allowNull: false },
});

const Booking = sequelize.define('booking', {
  bookingId: { type: DataTypes.BIGINT, primaryKey: true, autoIncrement: true },
  eventId: { type: DataTypes.UUID, allowNull: false, references: { model: Event, key: 'event_id' } },
  userId: { type: DataTypes.TEXT, allowNull: false },
  status: { type: DataTypes.TEXT, allowNull: false },
  joinedAt: DataTypes.DATE, // the waiting list; a booking from there has both times
  bookedAt: DataTypes.DATE,
  cancelledAt: DataTypes.DATE,
}, {
  indexes: [
    { name: 'one_active', unique: true, fields: ['event_id', 'user_id'], where: { status: ACTIVE } },
    { name: 'waiting_list', fields: ['event_id', 'booking_id'], where: { status: 'WAITING' } },
  ],
});

class Refused extends Error {
  constructor(status, code) {
    super(code);
    this.status = status;
  }
}

// Lock an event's row until the end of the transaction.
async function locked(eventId, transaction) {
  const event = await Event.findByPk(eventId, {
    attributes: ['availableTickets'], lock: transaction.LOCK.UPDATE, transaction, raw: true,
  });
  if (!event) throw new Refused(404, 'event-not-found');
  return event;
}

async function book({ eventId, userId }) {
  try {
    return await sequelize.transaction(async (transaction) => {
      const { availableTickets } = await locked(eventId, transaction);
      if (availableTickets === 0) {
        const waiting = { eventId, userId, status: 'WAITING', joinedAt: new Date() };
        return [202, await Booking.create(waiting, { transaction })];
      }
      const confirmed = { eventId, userId, status: 'CONFIRMED', bookedAt: new Date() };
      const booking = await Booking.create(confirmed, { transaction });
      await Event.decrement('availableTickets', { where: { eventId }, transaction });
      return [201, booking];
    });
  } catch (error) {
    if (!(error instanceof UniqueConstraintError)) throw error;
    const booking = await Booking.findOne({ where: { eventId, userId, status: ACTIVE }, raw: true });
    if (!booking) throw new Refused(409, 'booking-changed'); // it was cancelled in this moment
    return [200, booking];
  }
}

function cancel({ eventId, userId }) {
  return sequelize.transaction(async (transaction) => {
    await locked(eventId, transaction);
    const [, [booking]] = await Booking.update({ status: 'CANCELLED', cancelledAt: new Date() }, {
      where: { eventId, userId, status: ACTIVE }, returning: true, transaction,
    });
    if (!booking) throw new Refused(404, 'booking-not-found');
    if (booking.bookedAt) await release(eventId, transaction);
    return [200, booking];
  });
}

// Give a returned ticket to the head of the waiting list, or sell it again.
async function release(eventId, transaction) {
  const head = `(SELECT booking_id FROM bookings WHERE event_id = ${sequelize.escape(eventId)} AND status = 'WAITING'
    ORDER BY booking_id LIMIT 1)`;
  const [promoted] = await Booking.update({ status: 'CONFIRMED', bookedAt: new Date() }, {
    where: { bookingId: { [Op.eq]: literal(head) } }, transaction,
  });
  if (!promoted) await Event.increment('availableTickets', { where: { eventId }, transaction });
}

async function status(eventId) {
  const waiting = "(SELECT count(*)::int FROM bookings WHERE event_id = event.event_id AND status = 'WAITING')";
  const event = await Event.findByPk(eventId, {
    attributes: { include: [[literal(waiting), 'waitingListCount']] }, raw: true,
  });
  if (!event) throw new Refused(404, 'event-not-found');
  return event;
}

function checked(body) {
  const { eventId, userId } = body;
  if (!/^[0-9a-f-]{36}$/.test(eventId) || typeof userId !== 'string' || !userId || userId.length > 128) {
    throw new Refused(422, 'invalid-request');
  }
  return { eventId, userId };
}

function serve() {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.use(express.json());
  app.post('/initialize', async ({ body: { name, totalTickets } }, response) => {
    response.status(201).json(await Event.create({ name, totalTickets, availableTickets: totalTickets }));
  });
  for (const [path, act] of [['/book', book], ['/cancel', cancel]]) {
    app.post(path, async (request, response) => {
      const [code, booking] = await act(checked(request.body));
      response.status(code).json(booking);
    });
  }
  app.get('/status/:eventId', async (request, response) => response.json(await status(request.params.eventId)));
  app.use((error, _request, response, _next) => {
    if (!error.status) console.error(error);
    response.status(error.status ?? 500).json({ code: error.status ? error.message : 'internal' });
  });
  app.listen(port, '127.0.0.1', () => process.send('listening'));
}

if (cluster.isPrimary) {
  await sequelize.sync();
  await sequelize.close();
  let listening = 0;
  for (let number = 0; number < workers; number += 1) {
    cluster.fork().on('message', () => {
      listening += 1;
      if (listening === workers) console.log('listening');
    });
  }
  process.stdin.resume().on('end', () => process.exit()); // ends with the program that started it; so do the workers
} else {
  serve();
}
