//! `/api/v1/products`: administration.

use axum::{extract::State, http::StatusCode, response::Response};
use flashsale_core::{Challenge, SaleState, Sku};
use flashsale_operations::Actor;
use flashsale_platform::{ApiError, success};
use flashsale_schemas::events::OperatorAction;
use flashsale_sql::Product;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    Service,
    auth::{Administers, Operates, Viewer},
    error::{Error, chain},
    form::{NewProduct, ProductPatch},
    handlers::ops::to_the_end,
    lifecycle,
    openapi::{
        AdminFailures, BodyFailures, ChallengeName, Failure, NewProductBody, ProductPatchBody, StateName, Success,
    },
    request::{Faults, JsonObject, Parameters, SkuInPath},
};

const LIMIT_DEFAULT: u32 = 50;
const LIMIT_MAX: u32 = 200;
/// Far beyond any catalogue; Postgres counts its way there.
const OFFSET_MAX: u32 = 1_000_000;

/// What an administrator set.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProductSettings {
    /// What is sold.
    #[schema(example = "DEMO")]
    sku: String,
    /// Its name for people.
    #[schema(example = "A phone")]
    product_name: String,
    /// Units for sale in all.
    #[schema(example = 100)]
    initial_stock: u64,
    /// First instant of the sale.
    #[schema(format = DateTime, example = "2026-11-23T12:00:00.000Z")]
    start_time: String,
    /// First instant after the sale.
    #[schema(format = DateTime, example = "2026-11-23T13:00:00.000Z")]
    end_time: String,
    /// What a purchase must bring along.
    #[schema(value_type = ChallengeName)]
    challenge: Challenge,
    /// When the product was stored first.
    #[schema(format = DateTime, example = "2026-11-22T09:00:00.000Z")]
    created_at: String,
    /// This sale of the SKU; one that is removed and set up again gets another.
    #[schema(example = "06C5HN3T8Q2Z")]
    sale_id: String,
}

impl ProductSettings {
    fn of(product: &Product) -> Self {
        let config = &product.config;
        Self {
            sku: config.sku.to_string(),
            product_name: config.product_name.clone(),
            initial_stock: config.initial_stock,
            start_time: config.start.to_string(),
            end_time: config.end.to_string(),
            challenge: config.challenge,
            created_at: product.created_at.to_string(),
            sale_id: config.sale_id.to_string(),
        }
    }
}

/// A new product.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CreatedProduct {
    #[serde(flatten)]
    settings: ProductSettings,
    /// `ACTIVE` at once when the start has passed.
    #[schema(value_type = StateName)]
    state: SaleState,
}

/// A product and what came of its sale.
///
/// Settings are from Postgres, the rest from Redis, which decides. When Redis holds no sale of the product
/// it has lost it, or the sale was never opened. Then `state`, `paused` and `currentStock` are what the log
/// told last, and `null` when the log knows no such sale either; `totalPurchases` is `null`, because nobody
/// can count buyers that are not there.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Product)]
pub(crate) struct ProductDetails {
    #[serde(flatten)]
    settings: ProductSettings,
    /// Where the sale stands.
    #[schema(value_type = Option<StateName>, required = true)]
    state: Option<SaleState>,
    /// Whether an operator has stopped the sale for now.
    #[schema(required = true)]
    paused: Option<bool>,
    /// Units left.
    #[schema(example = 42, required = true)]
    current_stock: Option<u64>,
    /// Shoppers that hold a unit, counted.
    #[schema(example = 58, required = true)]
    total_purchases: Option<u64>,
}

impl ProductDetails {
    async fn of(service: &Service, product: &Product) -> Result<Self, Error> {
        let (sku, sale_id) = (&product.config.sku, &product.config.sale_id);
        let settings = ProductSettings::of(product);
        // A sale of another id is another sale: its numbers say nothing about this product.
        if let Some(sale) = service.hot().snapshot(sku).await?.filter(|sale| sale.sale_id == *sale_id) {
            return Ok(Self {
                settings,
                state: Some(sale.state),
                paused: Some(sale.paused),
                current_stock: Some(sale.stock),
                total_purchases: Some(sale.buyers),
            });
        }
        let told = service.view().get(sku).filter(|told| told.config.sale_id == *sale_id);
        Ok(Self {
            settings,
            state: told.as_ref().map(|told| told.state),
            paused: told.as_ref().map(|told| told.paused),
            current_stock: told.as_ref().map(|told| told.stock()),
            total_purchases: None,
        })
    }
}

/// What was removed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeletedProduct {
    /// The SKU.
    #[schema(example = "DEMO")]
    sku: String,
    /// Always `true`.
    deleted: bool,
}

/// A product, or why the sale could not be changed.
#[derive(ToSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "documents the answers of a change")]
pub(crate) enum ProductAnswer {
    /// As it is now.
    Product(Success<ProductDetails>),
    /// `SALE_NOT_MODIFIABLE`.
    Refused(Failure),
}

async fn details(service: &Service, product: &Product) -> Result<Response, Error> {
    Ok(success(StatusCode::OK, ProductDetails::of(service, product).await?))
}

/// Whether something was changed, or may have been before it failed half-way.
fn may_stand<T>(done: &Result<T, Error>) -> bool {
    matches!(done, Ok(_) | Err(Error::Store(_) | Error::HalfDone(_) | Error::Log(_)))
}

/// Writes down who did it. What was done stays done when that fails.
async fn noted(service: &Service, action: OperatorAction, sku: &Sku, actor: &Actor, detail: Option<Value>) {
    if let Err(error) = service.tools().operations.record(action, sku.as_str(), actor, detail).await {
        let (error, action) = (chain(&error), format!("{action:?}"));
        tracing::error!(error, action, %sku, %actor, "an act is missing in the log");
    }
}

/// Sets up a product and its sale.
///
/// A start in the past is allowed: the sale is active at once. An existing SKU is never overwritten.
#[utoipa::path(
    post, path = "/api/v1/products", operation_id = "createProduct", tag = "admin", security(("adminKey" = ["admin"])),
    params(("X-Operator" = Option<String>, Header, nullable = false, min_length = 1, max_length = 64, pattern = r"\S",
            description = "Who acts, for the list of acts; a key with a name says it by itself")),
    request_body = NewProductBody,
    responses(
        (status = 201, description = "It is set up", body = Success<CreatedProduct>),
        (status = 409, description = "The SKU exists; nothing was changed", body = Failure,
            example = json!({"success": false, "error":
                {"code": "ALREADY_EXISTS", "message": "There is a product DEMO already."}})),
        BodyFailures, AdminFailures,
    )
)]
pub(crate) async fn create(
    State(service): State<Service>,
    Administers(actor): Administers,
    JsonObject(object): JsonObject,
) -> Result<Response, Error> {
    let now = service.hot().now().await;
    // What is wrong anyway is said even when Redis does not tell the time.
    let form = NewProduct::read(&object, now.as_ref().ok().copied(), service.has_captcha())?;
    let now = now?;
    let (product, state) = to_the_end(async move {
        let sku = form.sku.clone();
        let created = service.create(form, now).await;
        if may_stand(&created) {
            noted(&service, OperatorAction::SaleCreate, &sku, &actor, Some(Value::Object(object))).await;
        }
        created
    })
    .await?;
    Ok(success(StatusCode::CREATED, CreatedProduct { settings: ProductSettings::of(&product), state }))
}

/// The products in the order of their SKUs.
#[utoipa::path(
    get, path = "/api/v1/products", operation_id = "listProducts", tag = "admin", security(("adminKey" = ["viewer"])),
    params(
        ("limit" = Option<u32>, Query, description = "At most this many, 1 to 200", minimum = 1, maximum = 200, example = 50),
        ("offset" = Option<u32>, Query, description = "After so many", minimum = 0, maximum = 1_000_000, example = 0),
    ),
    responses(
        (status = 200, description = "The products", body = Success<Vec<ProductDetails>>),
        (status = 400, description = "Not a whole number in its range", body = Failure),
        AdminFailures,
    )
)]
pub(crate) async fn list(State(service): State<Service>, _: Viewer, parameters: Parameters) -> Result<Response, Error> {
    let mut faults = Faults::default();
    let limit = parameters.number("limit", LIMIT_DEFAULT, (1, LIMIT_MAX), &mut faults);
    let offset = parameters.number("offset", 0, (0, OFFSET_MAX), &mut faults);
    faults.check()?;
    let mut products = Vec::new();
    for product in service.store().products(limit, offset).await? {
        products.push(ProductDetails::of(&service, &product).await?);
    }
    Ok(success(StatusCode::OK, products))
}

/// One product.
#[utoipa::path(
    get, path = "/api/v1/products/{sku}", operation_id = "readProduct", tag = "admin", security(("adminKey" = ["viewer"])),
    params(("sku" = String, Path, description = "Which", example = "DEMO",
            min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9-]+$")),
    responses(
        (status = 200, description = "The product", body = Success<ProductDetails>),
        (status = 400, description = "The SKU is not one", body = Failure),
        (status = 404, description = "There is no such product", body = Failure),
        AdminFailures,
    )
)]
pub(crate) async fn read(
    State(service): State<Service>,
    _: Viewer,
    SkuInPath(sku): SkuInPath,
) -> Result<Response, Error> {
    let product = service.store().product(&sku).await?.ok_or_else(|| lifecycle::unknown(&sku))?;
    details(&service, &product).await
}

/// Changes a product whose sale has not begun.
#[utoipa::path(
    put, path = "/api/v1/products/{sku}", operation_id = "updateProduct", tag = "admin", security(("adminKey" = ["admin"])),
    params(
        ("sku" = String, Path, description = "Which", example = "DEMO",
            min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9-]+$"),
        ("X-Operator" = Option<String>, Header, nullable = false, min_length = 1, max_length = 64, pattern = r"\S",
            description = "Who acts, for the list of acts; a key with a name says it by itself"),
    ),
    request_body = ProductPatchBody,
    responses(
        (status = 200, description = "It is changed, or its sale has begun (`SALE_NOT_MODIFIABLE`)", body = ProductAnswer),
        (status = 404, description = "There is no such product", body = Failure),
        BodyFailures, AdminFailures,
    )
)]
pub(crate) async fn update(
    State(service): State<Service>,
    Administers(actor): Administers,
    SkuInPath(sku): SkuInPath,
    JsonObject(object): JsonObject,
) -> Result<Response, Error> {
    let patch = ProductPatch::read(&object, service.has_captcha())?;
    to_the_end(async move {
        let updated = service.update(&sku, &patch).await;
        if may_stand(&updated) {
            noted(&service, OperatorAction::SaleUpdate, &sku, &actor, Some(Value::Object(object))).await;
        }
        details(&service, &updated?).await
    })
    .await
}

async fn set_paused(service: Service, sku: Sku, actor: Actor, paused: bool) -> Result<Response, Error> {
    to_the_end(async move {
        let product = service.set_paused(&sku, paused).await?;
        let action = if paused { OperatorAction::SalePause } else { OperatorAction::SaleResume };
        noted(&service, action, &sku, &actor, None).await;
        details(&service, &product).await
    })
    .await
}

/// Stops a sale for now. Of one that is stopped already nothing changes.
#[utoipa::path(
    post, path = "/api/v1/products/{sku}/pause", operation_id = "pauseSale", tag = "admin",
    security(("adminKey" = ["operator"])),
    params(
        ("sku" = String, Path, description = "Which", example = "DEMO",
            min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9-]+$"),
        ("X-Operator" = Option<String>, Header, nullable = false, min_length = 1, max_length = 64, pattern = r"\S",
            description = "Who acts, for the list of acts; a key with a name says it by itself"),
    ),
    responses(
        (status = 200, description = "It is stopped, or has ended (`SALE_NOT_MODIFIABLE`)", body = ProductAnswer),
        (status = 400, description = "The SKU is not one", body = Failure),
        (status = 404, description = "There is no such product", body = Failure),
        AdminFailures,
    )
)]
pub(crate) async fn pause(
    State(service): State<Service>,
    Operates(actor): Operates,
    SkuInPath(sku): SkuInPath,
) -> Result<Response, Error> {
    set_paused(service, sku, actor, true).await
}

/// Lets a sale go on. Of one that is not stopped nothing changes.
#[utoipa::path(
    post, path = "/api/v1/products/{sku}/resume", operation_id = "resumeSale", tag = "admin",
    security(("adminKey" = ["operator"])),
    params(
        ("sku" = String, Path, description = "Which", example = "DEMO",
            min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9-]+$"),
        ("X-Operator" = Option<String>, Header, nullable = false, min_length = 1, max_length = 64, pattern = r"\S",
            description = "Who acts, for the list of acts; a key with a name says it by itself"),
    ),
    responses(
        (status = 200, description = "It goes on, or has ended (`SALE_NOT_MODIFIABLE`)", body = ProductAnswer),
        (status = 400, description = "The SKU is not one", body = Failure),
        (status = 404, description = "There is no such product", body = Failure),
        AdminFailures,
    )
)]
pub(crate) async fn resume(
    State(service): State<Service>,
    Operates(actor): Operates,
    SkuInPath(sku): SkuInPath,
) -> Result<Response, Error> {
    set_paused(service, sku, actor, false).await
}

/// Removes a product, its sale and its purchases, in test environments.
#[utoipa::path(
    delete, path = "/api/v1/products/{sku}", operation_id = "deleteProduct", tag = "admin",
    security(("adminKey" = ["admin"])),
    params(
        ("sku" = String, Path, description = "Which", example = "DEMO",
            min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9-]+$"),
        ("X-Operator" = Option<String>, Header, nullable = false, min_length = 1, max_length = 64, pattern = r"\S",
            description = "Who acts, for the list of acts; a key with a name says it by itself"),
    ),
    responses(
        AdminFailures,
        (status = 200, description = "It is gone", body = Success<DeletedProduct>),
        (status = 400, description = "The SKU is not one", body = Failure),
        (status = 403, description = "The key's role, or this environment, does not allow it", body = Failure),
        (status = 404, description = "There is no such product", body = Failure),
    )
)]
pub(crate) async fn delete(
    State(service): State<Service>,
    Administers(actor): Administers,
    SkuInPath(sku): SkuInPath,
) -> Result<Response, Error> {
    if !service.allow_delete() {
        let message = "Products cannot be deleted here; FLASHSALE_ALLOW_DELETE=true would allow it.";
        return Err(ApiError::new(StatusCode::FORBIDDEN, "FORBIDDEN", message).into());
    }
    let removed = DeletedProduct { sku: sku.to_string(), deleted: true };
    to_the_end(async move {
        let deleted = service.delete(&sku).await;
        if may_stand(&deleted) {
            noted(&service, OperatorAction::SaleDelete, &sku, &actor, None).await;
        }
        deleted
    })
    .await?;
    Ok(success(StatusCode::OK, removed))
}
