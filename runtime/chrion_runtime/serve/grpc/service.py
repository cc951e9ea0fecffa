"""The methods of inference.GRPCInferenceService: from a message to the models, and back."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

import grpc

from chrion_runtime.serve.grpc.message import take_apart
from chrion_runtime.serve.grpc.messages import CLASSES
from chrion_runtime.serve.grpc.reading import NOT_A_REQUEST, parse
from chrion_runtime.serve.grpc.status import refuse
from chrion_runtime.serve.grpc.stream import InferStream
from chrion_runtime.serve.models.registry import ModelRegistry, ServedModel
from chrion_runtime.serve.protocol import Answer
from chrion_runtime.serve.protocol.errors import BadRequest, NotFound, ShuttingDown, TooSlow
from chrion_runtime.serve.protocol.metadata import model_metadata, server_metadata, triton_config
from chrion_runtime.serve.request.call import InferCall
from chrion_runtime.serve.telemetry import GRPC

T = TypeVar("T")

Headers = dict[str, str]
"""The metadata of a call that is text, by name in small letters."""


class InferenceService:
    """The methods, for one server. Messages come and go as bytes, so that bad ones are refused here and not by gRPC."""

    def __init__(self, registry: ModelRegistry) -> None:
        self._registry = registry
        self._leaving = asyncio.Event()
        """Whether no more requests are taken."""

    def leave(self) -> None:
        """Take no more requests; streams end once what they have begun is answered."""
        self._leaving.set()

    def handlers(self) -> dict[str, Any]:
        """gRPC's handler of each method."""
        small: dict[str, Callable[[Any], dict[str, Any]]] = {
            "ServerLive": lambda _: {"live": self._registry.alive},
            "ServerReady": lambda _: {"ready": self._registry.ready},
            "ServerMetadata": lambda _: server_metadata(),
            "ModelReady": self._model_ready,
            "ModelMetadata": self._model_metadata,
            "ModelConfig": self._model_config,
            "ModelStatistics": self._model_statistics,
        }
        found = {
            name: grpc.unary_unary_rpc_method_handler(partial(self._small, name, answer))
            for name, answer in small.items()
        }
        # For gRPC a stream of messages, of which there is but one: so it is read here, within limits.
        return found | {
            "ModelInfer": grpc.stream_unary_rpc_method_handler(self.infer),
            "ModelStreamInfer": grpc.stream_stream_rpc_method_handler(self.stream),
        }

    async def _small(self, name: str, answer: Callable[[Any], dict[str, Any]], data: bytes, context: Any) -> bytes:
        async def answered(_: Headers) -> bytes:
            message: bytes = CLASSES[f"{name}Response"](**answer(parse(f"{name}Request", data))).SerializeToString()
            return message

        return await self._guarded(name, context, answered)

    async def infer(self, _: Any, context: Any) -> bytes:
        """ModelInfer"""
        return await self._guarded("ModelInfer", context, partial(self._infer, context))

    async def stream(self, _: Any, context: Any) -> None:
        """ModelStreamInfer"""

        async def answered(headers: Headers) -> None:
            await InferStream(self._registry, headers, self._leaving).run(context)

        await self._guarded("ModelStreamInfer", context, answered)

    async def _guarded(self, name: str, context: Any, answer: Callable[[Headers], Awaitable[T]]) -> T:
        """A request is in flight meanwhile, and every error is one of gRPC's."""
        headers = {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}
        with self._registry.busy():
            try:
                return await answer(headers)
            except Exception as error:
                await refuse(context, error, name, headers)
                raise

    async def _infer(self, context: Any, headers: Headers) -> bytes:
        if self._leaving.is_set():
            raise ShuttingDown
        message = await self._message(context)
        raw = take_apart(message)
        del message
        model = self._registry.model(raw.model, raw.version)
        with InferCall(self._registry, model, headers, GRPC) as call:
            call.take(raw.size)
            outcome = call.answer(raw, context.time_remaining())
            del raw
            answer = outcome if isinstance(outcome, Answer) else await outcome
            call.sent(answer)
            return answer.body

    async def _message(self, context: Any) -> bytes:
        seconds = self._registry.options.read_seconds
        try:
            async with asyncio.timeout(seconds):
                message = await context.read()
        except TimeoutError:
            raise TooSlow(seconds) from None
        if not isinstance(message, bytes):  # the end, before anything came
            raise BadRequest(NOT_A_REQUEST)
        return message

    def _model(self, asked: Any) -> ServedModel:
        return self._registry.model(asked.name, asked.version or None)

    def _model_ready(self, asked: Any) -> dict[str, Any]:
        try:
            model = self._model(asked)
        except NotFound:
            return {"ready": False}
        return {"ready": model.ready and not self._registry.draining}

    def _model_metadata(self, asked: Any) -> dict[str, Any]:
        model = self._model(asked)
        return model_metadata(model.servable.name, model.signature)

    def _model_config(self, asked: Any) -> dict[str, Any]:
        model = self._model(asked)
        return {"config": triton_config(model.servable.name, model.signature)}

    def _model_statistics(self, asked: Any) -> dict[str, Any]:
        models = [self._model(asked)] if asked.name else self._registry.models
        return {"model_stats": [model.statistics() for model in models]}
