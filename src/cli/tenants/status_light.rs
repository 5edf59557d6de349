//! Colours the light of a connection.

use testmo_courier::app::connections::StatusLight;

use super::super::output::Colour;

/// Returns the colour of a light's word.
pub(super) fn colour(light: StatusLight) -> Colour {
    match light {
        StatusLight::Green => Colour::Green,
        StatusLight::Amber => Colour::Amber,
        StatusLight::Red => Colour::Red,
    }
}
