"""What is added to the description of the API that drf-spectacular makes"""

from authentik.api.pagination import PAGINATION_SCHEMA

_COMPONENTS = {
    "Pagination": PAGINATION_SCHEMA,
    "GenericError": {
        "type": "object",
        "description": "Generic API Error",
        "properties": {"detail": {"type": "string"}, "code": {"type": "string"}},
        "required": ["detail"],
    },
    "ValidationError": {
        "type": "object",
        "description": "Validation Error",
        "properties": {
            "non_field_errors": {"type": "array", "items": {"type": "string"}},
            "code": {"type": "string"},
        },
        "additionalProperties": {},
    },
}


def error(component: str) -> dict:
    """A response that is one of the errors above"""
    schema = {"$ref": f"#/components/schemas/{component}"}
    return {"content": {"application/json": {"schema": schema}}, "description": ""}


def postprocess_errors(result: dict, generator, request, public) -> dict:
    """Every operation may answer with an error."""
    schemas = result["components"]["schemas"]
    schemas.update(_COMPONENTS)
    result["components"]["schemas"] = dict(sorted(schemas.items()))
    for path in result["paths"].values():
        for operation in path.values():
            operation["responses"].setdefault("400", error("ValidationError"))
            operation["responses"].setdefault("403", error("GenericError"))
    return result
