"""A shop that sells tickets through Stripe: python -m examples.shop [PORT]. docs/payments.md lists its settings."""

import os
import sys
import threading
import time
from pathlib import Path

from examples.shop.calls import NoAnswerError
from examples.shop.office import Office, Tokens
from examples.shop.shop import Shop
from examples.shop.store import Store
from examples.shop.stripe import Price, Stripe
from examples.shop.web import Server

AGAIN_S = 1.0  # until the stream of events is opened again
_setting = os.environ.get


def main(port: int) -> None:
    """Serve buyers and webhooks, and work, until the process is killed. That is safe at any moment."""
    stripe = Stripe(
        url=_setting("STRIPE_URL", "https://api.stripe.com"),
        key=os.environ["STRIPE_KEY"],
        webhook_secret=os.environ["STRIPE_WEBHOOK_SECRET"],
        price=Price(int(_setting("PRICE", "2500")), _setting("CURRENCY", "eur")),
        shop_url=_setting("SHOP_URL", f"http://127.0.0.1:{port}"),
    )
    shop = Shop(
        office=Office(os.environ["OFFICE"], Tokens(os.environ)),
        stripe=stripe,
        store=Store(Path(_setting("SHOP_DATA", "shop.db"))),
        tell=lambda line: print(line, flush=True),
        look_every_s=float(_setting("LOOK_EVERY_S", "60")),
    )
    server = Server(shop, port, _setting("OFFICE_EVENTS_SECRET", ""))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    if _setting("FOLLOW") == "yes":
        threading.Thread(target=_follow, args=[shop], daemon=True).start()
    shop.tell(f"The shop is open at http://127.0.0.1:{server.server_port}")
    pause_s = float(_setting("WORK_EVERY_S", "1"))
    while True:
        shop.work()
        time.sleep(pause_s)


def _follow(shop: Shop) -> None:
    """Hear what a local office announces; on AWS a rule on its bus posts the same to /office-events."""
    while True:
        try:
            for event in shop.office.events():
                shop.hear_office(event)
        except (OSError, NoAnswerError) as error:
            shop.tell(f"the office's events: {error!r}")
        time.sleep(AGAIN_S)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 8000)
