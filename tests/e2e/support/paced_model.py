"""A model of MLServer's whose pace and ends a test can see: it echoes, and writes down what it was told.

The first input is echoed. A second one holds two numbers: seconds to take for each answer, and how many
answers each request of a stream gets.
"""

import asyncio
import json
import os
import time

from mlserver import MLModel
from mlserver.types import InferenceResponse, ResponseOutput


class Paced(MLModel):
    async def load(self) -> bool:
        return True

    def _tell(self, what):
        with open(os.environ["PACED_LOG"], "a") as file:
            file.write(json.dumps({"what": what, "at": time.time()}) + "\n")

    @staticmethod
    def _pace(payload):
        values = list(payload.inputs[1].data) if len(payload.inputs) > 1 else [0, 1]
        return float(values[0]), int(values[1])

    def _answer(self, payload, number=0):
        given = payload.inputs[0]
        output = ResponseOutput(name="echo", shape=given.shape, datatype=given.datatype, data=given.data)
        told = ResponseOutput(name="number", shape=[1], datatype="INT64", data=[number])
        return InferenceResponse(id=payload.id, model_name=self.name, outputs=[output, told])

    async def predict(self, payload):
        seconds, _ = self._pace(payload)
        try:
            self._tell("begun")
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            self._tell("cancelled")
            raise
        return self._answer(payload)

    async def predict_stream(self, payloads):
        whole = False
        try:
            async for payload in payloads:
                seconds, count = self._pace(payload)
                self._tell("begun")
                for number in range(count):
                    await asyncio.sleep(seconds)
                    yield self._answer(payload, number)
            whole = True
        finally:
            self._tell("whole" if whole else "cancelled")
