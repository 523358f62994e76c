<?php
/**
 * Pages that a guest does not get: for members alone, behind a consent, behind a check of the browser.
 *
 * A page that waits for a person says in its title which field has the focus and how many letters are in it: so a
 * test that types sees when it may, and what has arrived.
 */

namespace ChatBoxes;

const FOCUS_IN_TITLE = <<<'SCRIPT'
<script>
const tell = () => {
	const field = document.activeElement;
	if (!field?.id || !performance.getEntriesByName('first-contentful-paint').length) return;
	document.title = `${field.id}: ${field.type === 'submit' ? 'a button' : `${field.value.length} letters`}`;
};
addEventListener('focusin', tell);
addEventListener('input', tell);
new PerformanceObserver(tell).observe({ type: 'paint', buffered: true }); // what is typed before is lost
</script>
SCRIPT;

if ( condition( 'focus_in_title' ) ) {
	add_action( 'login_head', fn() => print( FOCUS_IN_TITLE ) );
}
add_action(
	'template_redirect',
	function () {
		match ( true ) {
			is_page( 'members' ) => let_members_in(),
			is_page( 'consent' ) => let_in_who_agreed(),
			is_page( 'checked' ) => let_in_who_passed(),
			default => null,
		};
	}
);

/** As plugins for members' areas do: a guest gets WordPress's own form, and comes back from it. */
function let_members_in(): void {
	if ( ! is_user_logged_in() ) {
		wp_safe_redirect( wp_login_url( get_permalink() ) );
		exit;
	}
}

/** A box of a shop's: nothing of the page is sent to visitors who have not agreed. The cookie is out of scripts' reach. */
function let_in_who_agreed(): void {
	if ( isset( $_POST['agree'] ) ) {
		setcookie( 'agreed', 'yes, on ' . gmdate( 'Y-m-d' ), array( 'expires' => time() + YEAR_IN_SECONDS, 'path' => '/', 'httponly' => true ) );
		wp_safe_redirect( get_permalink() );
		exit;
	}
	if ( ! isset( $_COOKIE['agreed'] ) ) {
		stop_with(
			'Before you go on',
			'<p>We keep what you write, and show it to the maker of the AI.</p>
			<form method="post"><button id="agree" name="agree" autofocus>I agree</button></form>'
		);
	}
}

/** As hosts and firewalls do: a script sets a cookie, once somebody has clicked. It is good for that browser alone. */
function let_in_who_passed(): void {
	$proof = hash_hmac( 'sha256', $_SERVER['HTTP_USER_AGENT'] ?? '', 'checked' );
	if ( ( $_COOKIE['checked'] ?? '' ) !== $proof ) {
		stop_with(
			'Just a moment...',
			"<button id=\"human\" type=\"submit\" autofocus>I am human</button>
			<script>
			human.onclick = () => { document.cookie = 'checked=$proof; path=/; max-age=86400'; location.reload(); };
			</script>"
		);
	}
}

function stop_with( string $title, string $body ): void {
	nocache_headers();
	echo "<!DOCTYPE html><html><head><title>$title</title>" . FOCUS_IN_TITLE . "</head><body>$body</body></html>";
	exit;
}
