"""A program in another language that takes the desk's events: checks each with the package `standardwebhooks`.

First line out: where it listens, or `missing` without the package. Its only argument is the secret. Answers 204 to what
the package takes and 401 to the rest; then prints the event, or why it was refused, as one line of JSON.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

try:
    from standardwebhooks.webhooks import Webhook, WebhookVerificationError
except ImportError:
    print("missing", flush=True)
    sys.exit()

webhook = Webhook(sys.argv[1])


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            event = webhook.verify(body, dict(self.headers))
            status, said = 204, {"id": self.headers["webhook-id"], "event": event}
        except WebhookVerificationError as error:
            status, said = 401, {"refused": str(error)}
        self.send_response(status)
        self.end_headers()
        print(json.dumps(said), flush=True)

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Receiver)
print(f"http://127.0.0.1:{server.server_port}/hook", flush=True)
server.serve_forever()
