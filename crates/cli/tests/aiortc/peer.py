"""A participant made of aiortc and nothing of this project: it calls a peer, or waits for a call.

It sends four coloured quarters, a tone of 440 Hz, a text and 60000 bytes, and prints JSON, one object a line: that it has
joined, that it is about to leave, and at the end what it saw, heard and read. Its descriptions have all of its candidates in them.
"""

import argparse
import asyncio
import fractions
import json
import math
import sys
import time
import uuid

from aiortc import (
    AudioStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
    VideoStreamTrack,
)
from aiortc.mediastreams import MediaStreamError
from aiortc.sdp import candidate_from_sdp
from av import AudioFrame, VideoFrame
from websockets.asyncio.client import connect

RATE = 48_000
TONE_HZ = 440
AMPLITUDE = 0.2
WIDTH, HEIGHT = 320, 240
# Red and green above, blue and yellow below, in BT.601 limited range as (Y, Cb, Cr).
QUARTERS = [[(81, 98, 218), (116, 88, 65)], [(76, 205, 110), (195, 43, 143)]]
# How peers of this project call the channel for messages.
LABEL = "remotemedia"
TEXT = "hello from python"
BINARY = bytes(n * 31 % 251 for n in range(60_000))
# How long a connection, an answer of the server, or a message may take, in seconds.
PATIENCE = 20


class Signaling:
    """JSON-RPC 2.0 over a WebSocket."""

    def __init__(self, socket):
        self.socket = socket
        self.waiting = {}
        self.pushed = asyncio.Queue()
        self.reader = asyncio.create_task(self.read())

    async def read(self):
        try:
            async for text in self.socket:
                message = json.loads(text)
                if "method" in message:
                    self.pushed.put_nowait((message["method"], message["params"]))
                elif message["id"] in self.waiting:
                    self.waiting.pop(message["id"]).set_result(message)
        finally:
            self.pushed.put_nowait(("closed", {}))

    async def request(self, method, **params):
        number = str(uuid.uuid4())
        answer = self.waiting[number] = asyncio.get_running_loop().create_future()
        await self.socket.send(json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}))
        message = await asyncio.wait_for(answer, PATIENCE)
        if "error" in message:
            raise RuntimeError(f"{method}: {message['error']}")
        return message["result"]


class Picture(VideoStreamTrack):
    """Four coloured quarters, 30 times a second."""

    def __init__(self):
        super().__init__()
        self.frame = VideoFrame(width=WIDTH, height=HEIGHT, format="yuv420p")
        for number, plane in enumerate(self.frame.planes):
            width, height = (WIDTH, HEIGHT) if number == 0 else (WIDTH // 2, HEIGHT // 2)
            rest = bytes(plane.line_size - width)
            rows = [b"".join(bytes([colours[number]]) * (width // 2) for colours in half) + rest for half in QUARTERS]
            plane.update(b"".join(row * (height // 2) for row in rows))

    async def recv(self):
        self.frame.pts, self.frame.time_base = await self.next_timestamp()
        return self.frame


class Tone(AudioStreamTrack):
    """A sine, 20 ms at a time. In stereo: aiortc makes that of mono too, but 3 dB quieter."""

    def __init__(self):
        super().__init__()
        self.sent = 0
        self.started = None

    async def recv(self):
        if self.readyState != "live":
            raise MediaStreamError
        now = time.monotonic()
        self.started = self.started or now
        await asyncio.sleep(max(0, self.started + self.sent / RATE - now))
        frame = AudioFrame(format="s16", layout="stereo", samples=RATE // 50)
        wave = (math.sin(math.tau * TONE_HZ * (self.sent + n) / RATE) for n in range(frame.samples))
        samples = (round(32_767 * AMPLITUDE * sample) for sample in wave)
        frame.planes[0].update(b"".join(sample.to_bytes(2, "little", signed=True) * 2 for sample in samples))
        frame.pts, frame.sample_rate, frame.time_base = self.sent, RATE, fractions.Fraction(1, RATE)
        self.sent += frame.samples
        return frame


class Call:
    """The connection with one peer, and what came over it."""

    def __init__(self):
        # By default aiortc asks a STUN server on the internet.
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.connected = asyncio.Event()
        self.over = asyncio.Event()
        self.started = time.monotonic()
        self.connect_ms = None
        self.early_candidates = []
        self.tasks = []
        self.frames, self.picture = 0, None
        self.heard = []
        self.messages = []
        self.pc.on("connectionstatechange", self.on_state)
        self.pc.on("track", lambda track: self.tasks.append(asyncio.create_task(self.receive(track))))
        self.pc.on("datachannel", self.on_channel)

    def add_media(self, codec=None):
        self.pc.addTrack(Tone())
        sender = self.pc.addTrack(Picture())
        if codec:
            known = RTCRtpSender.getCapabilities("video").codecs
            wanted = [one for one in known if one.mimeType.lower() in (f"video/{codec.lower()}", "video/rtx")]
            next(t for t in self.pc.getTransceivers() if t.sender == sender).setCodecPreferences(wanted)

    def on_state(self):
        if self.pc.connectionState == "connected" and self.connect_ms is None:
            self.connect_ms = round((time.monotonic() - self.started) * 1_000, 1)
            self.connected.set()
        elif self.pc.connectionState in ("failed", "closed"):
            self.over.set()

    def on_channel(self, channel):
        if channel.label == LABEL:
            self.talk(channel)

    def talk(self, channel):
        """Sends what there is to say as soon as the channel is open, and keeps what comes back."""

        def say():
            channel.send(TEXT)
            channel.send(BINARY)

        channel.on("message", self.messages.append)
        say() if channel.readyState == "open" else channel.on("open", say)

    async def receive(self, track):
        try:
            while True:
                frame = await track.recv()
                if track.kind == "video":
                    self.frames += 1
                    self.picture = frame
                else:
                    self.heard = (self.heard + [frame])[-50:]
        except MediaStreamError:
            pass

    async def describe(self, description):
        """Makes it the local description; aiortc has found all of its candidates then."""
        await self.pc.setLocalDescription(description)
        return self.pc.localDescription.sdp

    async def accept(self, kind, sdp):
        await self.pc.setRemoteDescription(RTCSessionDescription(sdp=sdp, type=kind))
        early, self.early_candidates = self.early_candidates, None
        for params in early:
            await self.add_candidate(params)

    async def add_candidate(self, params):
        if self.early_candidates is not None:
            self.early_candidates.append(params)
            return
        candidate = None
        if params["candidate"]:
            candidate = candidate_from_sdp(params["candidate"].removeprefix("candidate:"))
            candidate.sdpMid, candidate.sdpMLineIndex = params["sdp_mid"], params["sdp_m_line_index"]
        await self.pc.addIceCandidate(candidate)

    def result(self):
        hz, level = strongest(samples(self.heard))
        return {
            "connect_ms": self.connect_ms,
            "video_frames": self.frames,
            "size": [self.picture.width, self.picture.height] if self.picture else None,
            "quarters": quarters(self.picture) if self.picture else None,
            "tone_hz": hz,
            "level": level,
            "texts": [message for message in self.messages if isinstance(message, str)],
            "text_equal": TEXT in self.messages,
            "binary_equal": BINARY in self.messages,
        }


def quarters(frame):
    """The mean Y, Cb and Cr in the middle of each quarter: top left, top right, bottom left, bottom right."""
    planes = [(bytes(plane), plane.line_size) for plane in frame.planes]

    def mean(number, x, y):
        data, line = planes[number]
        side = 16 if number == 0 else 8
        x, y = (x, y) if number == 0 else (x // 2, y // 2)
        rows = [data[row * line + x - side // 2 :][:side] for row in range(y - side // 2, y + side // 2)]
        return round(sum(map(sum, rows)) / side**2, 1)

    width, height = frame.width, frame.height
    return [[mean(number, width * x // 4, height * y // 4) for number in range(3)] for y in (1, 3) for x in (1, 3)]


def samples(frames):
    """The left channel of decoded Opus at 8000 Hz, from -1 to 1."""
    left = [sample for frame in frames for sample in memoryview(bytes(frame.planes[0])).cast("h")[: 2 * frame.samples : 2]]
    return [sum(left[n : n + 6]) / 6 / 32_768 for n in range(0, len(left) - 5, 6)]


def strongest(sound):
    """The strongest frequency between 50 and 2000 Hz and its amplitude (Goertzel's algorithm)."""
    if not sound:
        return None, 0

    def amplitude(hz):
        factor = 2 * math.cos(math.tau * hz / 8_000)
        last = before = 0
        for sample in sound:
            last, before = sample + factor * last - before, last
        return 2 * math.sqrt(max(0, last**2 + before**2 - factor * last * before)) / len(sound)

    near = max(range(50, 2_001), key=amplitude)
    hz = max((near + step / 10 for step in range(-10, 11)), key=amplitude)
    return round(hz, 1), round(amplitude(hz), 3)


async def hold(options, signaling, call):
    """Calls or waits for a call, and keeps to the end of it. Answers the other peer and the connection's id."""
    peer, request_id = options.to, str(uuid.uuid4())

    def address():
        return {"from": options.peer_id, "to": peer, "request_id": request_id}

    if options.mode == "offer":
        call.talk(call.pc.createDataChannel("chat"))
        call.add_media(options.codec)
        sdp = await call.describe(await call.pc.createOffer())
        call.started = time.monotonic()
        await signaling.request("peer.offer", sdp=sdp, can_trickle_ice_candidates=not options.no_trickle, **address())
    end = None
    while True:
        if call.connected.is_set() and end is None:
            end = time.monotonic() + options.seconds
        next_push = asyncio.create_task(signaling.pushed.get())
        waits = [next_push, asyncio.create_task(call.over.wait())]
        if end is None:
            waits.append(asyncio.create_task(call.connected.wait()))
            # Whoever waits for a call may wait long.
            limit = PATIENCE if peer else None
        else:
            limit = max(0, end - time.monotonic())
        await asyncio.wait(waits, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        pushed = next_push.result() if next_push.done() else None
        for wait in waits:
            wait.cancel()
        if pushed is None:
            if call.over.is_set() or end is not None and time.monotonic() >= end:
                return peer, request_id
            if not call.connected.is_set():
                raise TimeoutError(f"no connection with {peer}")
            continue
        method, params = pushed
        if method == "peer.offer" and options.mode == "answer" and peer is None:
            peer, request_id = params["from"], params["request_id"]
            call.started = time.monotonic()
            await call.accept("offer", params["sdp"])
            call.add_media()
            sdp = await call.describe(await call.pc.createAnswer())
            await signaling.request("peer.answer", sdp=sdp, can_trickle_ice_candidates=not options.no_trickle, **address())
        elif method == "peer.answer" and params["from"] == peer:
            await call.accept("answer", params["sdp"])
        elif method == "peer.ice_candidate" and peer in (None, params["from"]) and not options.no_trickle:
            await call.add_candidate(params)
        elif method == "peer.disconnected" and params["from"] == peer:
            return None, request_id
        elif method == "closed":
            raise ConnectionError("the signaling server is gone")


async def run(options):
    async with connect(options.signaling, max_size=1 << 20) as socket:
        signaling = Signaling(socket)
        await signaling.request(
            "peer.announce", peer_id=options.peer_id, room=options.room, capabilities=["audio", "video", "data"]
        )
        print(json.dumps({"event": "joined"}), flush=True)
        call = Call()
        peer, request_id = await hold(options, signaling, call)
        print(json.dumps({"event": "leaving"}), flush=True)
        await call.pc.close()
        if peer is not None:
            await signaling.request(
                "peer.disconnect", to=peer, reason="user_requested", request_id=request_id, **{"from": options.peer_id}
            )
        await signaling.request("peer.leave")
        signaling.reader.cancel()
    # Takes a while, in which nothing would be sent.
    result = call.result() | {"ended_by_peer": peer is None}
    print(json.dumps(result), flush=True)
    return not options.expect_echo or result["text_equal"] and result["binary_equal"]


def parse():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mode", choices=["offer", "answer"])
    parser.add_argument("--signaling", metavar="URL", required=True)
    parser.add_argument("--peer-id", metavar="ME", default="python")
    parser.add_argument("--room", default="default")
    parser.add_argument("--to", metavar="PEER", help="whom to call")
    parser.add_argument("--codec", choices=["VP8", "H264"], help="the only video codec to offer; default: what aiortc has")
    parser.add_argument("--no-trickle", action="store_true", help="says that it takes no candidates later, and takes none")
    parser.add_argument("--seconds", metavar="SECS", type=float, default=6, help="how long the call lasts")
    parser.add_argument("--expect-echo", action="store_true", help="fails if text and bytes do not come back")
    options = parser.parse_args()
    if (options.mode == "offer") != (options.to is not None):
        parser.error("--to says whom to call: it goes with offer, and with nothing else")
    return options


if __name__ == "__main__":
    sys.exit(0 if asyncio.run(run(parse())) else 1)
