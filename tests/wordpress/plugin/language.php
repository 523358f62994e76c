<?php
/**
 * A site in two languages: what is under /de/ is German. Works as such plugins do: the prefix is taken off
 * before WordPress looks at the address, and put into every address that it prints.
 */

namespace ChatBoxes;

const GERMAN = array(
	'The link you followed has expired.' => 'Der Link, dem du gefolgt bist, ist abgelaufen.',
	'Please try again.'                  => 'Bitte versuche es erneut.',
	'Nonce verification failed'          => 'Die Sicherheitsprüfung ist fehlgeschlagen',
	'Security check failed. Please refresh the page and try again.' => 'Die Sicherheitsprüfung ist fehlgeschlagen. Bitte lade die Seite neu.',
);

/** The address without its language; null where it names none. */
function maybe_stripped( string $address ): ?string {
	$path = $_SERVER['CHAT_BOXES_PATH'];
	$from = "$path/de/";
	return str_starts_with( $address, $from ) ? "$path/" . substr( $address, strlen( $from ) ) : null;
}

$stripped = maybe_stripped( $_SERVER['REQUEST_URI'] ?? '' );
if ( null !== $stripped ) {
	$_SERVER['REQUEST_URI'] = $stripped;
}
if ( null !== $stripped || 'de' === ( $_GET['lang'] ?? '' ) ) {
	add_filter(
		'home_url', // not while WordPress takes the address apart, for it has no prefix any more
		fn( $url ) => did_action( 'parse_request' ) || is_admin() ? WP_HOME . '/de/' . ltrim( substr( $url, strlen( WP_HOME ) ), '/' ) : $url
	);
	add_filter( 'admin_url', fn( $url, $path ) => 'admin-ajax.php' === $path ? add_query_arg( 'lang', 'de', $url ) : $url, 10, 2 );
	add_filter( 'gettext', fn( $translation, $text ) => GERMAN[ $text ] ?? $translation, 10, 2 );
	remove_action( 'template_redirect', 'redirect_canonical' );
}
